//! The words of the API for what takes one of several values.

use crate::noun::{
    AppLifecycle, BuildState, DeployIntent, DeploymentState, Desired, JobState, Liveness, Role, Scheduling, Strategy,
};

pub(in crate::server::api) fn lifecycle(lifecycle: AppLifecycle) -> &'static str {
    match lifecycle {
        AppLifecycle::Active => "active",
        AppLifecycle::Destroying => "destroying",
    }
}

pub(in crate::server::api) fn build(state: &BuildState) -> &'static str {
    match state {
        BuildState::Pending { .. } => "pending",
        BuildState::Assigned => "assigned",
        BuildState::Running => "running",
        BuildState::Succeeded(_) => "succeeded",
        BuildState::Failed { .. } => "failed",
        BuildState::Cancelled => "cancelled",
        BuildState::Lost { .. } => "lost",
    }
}

pub(in crate::server::api) fn deployment(state: &DeploymentState) -> &'static str {
    match state {
        DeploymentState::Pending => "pending",
        DeploymentState::Running => "running",
        DeploymentState::Paused { .. } => "paused",
        DeploymentState::RollingBack { .. } => "rolling_back",
        DeploymentState::Done => "done",
        DeploymentState::Failed { .. } => "failed",
    }
}

pub(in crate::server::api) fn intent(intent: DeployIntent) -> &'static str {
    match intent {
        DeployIntent::Proceed => "proceed",
        DeployIntent::Pause => "pause",
        DeployIntent::Abort => "abort",
    }
}

pub(in crate::server::api) fn strategy(strategy: &Strategy) -> &'static str {
    match strategy {
        Strategy::AllAtOnce => "all_at_once",
        Strategy::OneByOne => "one_by_one",
        Strategy::OneDownOneUp => "one_down_one_up",
        Strategy::InBatches { .. } => "in_batches",
        Strategy::External { .. } => "external",
    }
}

pub(in crate::server::api) fn job(state: &JobState) -> &'static str {
    match state {
        JobState::Pending { .. } => "pending",
        JobState::Assigned => "assigned",
        JobState::Starting => "starting",
        JobState::Up { .. } => "up",
        JobState::Stopping => "stopping",
        JobState::Exited(_) => "exited",
        JobState::Lost { .. } => "lost",
    }
}

pub(in crate::server::api) fn desired(desired: Desired) -> &'static str {
    match desired {
        Desired::Up => "up",
        Desired::Replace => "replace",
        Desired::Drain => "drain",
        Desired::Down => "down",
    }
}

pub(in crate::server::api) fn liveness(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Unseen => "unseen",
        Liveness::Ready => "ready",
        Liveness::Suspect => "suspect",
        Liveness::Lost => "lost",
    }
}

pub(in crate::server::api) fn scheduling(scheduling: Scheduling) -> &'static str {
    match scheduling {
        Scheduling::Open => "open",
        Scheduling::Cordoned => "cordoned",
        Scheduling::Draining => "draining",
    }
}

pub(in crate::server::api) fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Developer => "developer",
        Role::Owner => "owner",
    }
}

pub(in crate::server::api) fn parse_role(text: &str) -> Option<Role> {
    [Role::Viewer, Role::Developer, Role::Owner].into_iter().find(|known| role(*known) == text)
}
