use crate::id::Id;
use crate::noun::{AppId, DeployMode, DeployPolicy, ObjectId, ReleaseId, Strategy};
use crate::rule::{Claim, Footprint, Invalid, NounRules, check_length};
use crate::time::Timestamp;

/// The id of a [`Deployment`].
pub type DeploymentId = Id<Deployment>;

/// The way of an app from one release to another. An app has at most one that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The app.
    pub app: AppId,
    /// The release that served before; none for the first deployment.
    pub from: Option<ReleaseId>,
    /// The release that is to serve.
    pub to: ReleaseId,
    /// How instances are replaced.
    pub strategy: Strategy,
    /// What it must keep to.
    pub policy: DeployPolicy,
    /// What is intended for it.
    pub desired: DeployIntent,
}

impl Deployment {
    /// The way to `to`, one instance after the other, with the usual deadlines, and back if it fails.
    pub fn new(app: AppId, from: Option<ReleaseId>, to: ReleaseId) -> Self {
        let (strategy, policy) = (Strategy::OneByOne, DeployPolicy::default());
        Self { app, from, to, strategy, policy, desired: DeployIntent::Proceed }
    }
}

/// What is intended for a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeployIntent {
    /// Go on.
    Proceed,
    /// Hold where it is; lost instances are still replaced.
    Pause,
    /// Go back.
    Abort,
}

/// What is known of a deployment. All progress lives here, so that any controller can go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploymentStatus {
    /// Where it is in its life.
    pub state: DeploymentState,
    /// The step of its strategy, counted from 0.
    pub step: u32,
    /// The share of requests meant for the new release, in percent.
    pub weight: u8,
    /// When it last made progress.
    pub progressed_at: Timestamp,
    /// Whether the release command of the new release has done its work.
    pub prepared: bool,
}

/// The life of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeploymentState {
    /// Not begun.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// Held, by a person or by `on_failure`.
    Paused {
        /// Why.
        reason: String,
    },
    /// On its way back.
    RollingBack {
        /// Why.
        reason: String,
    },
    /// The new release serves.
    Done,
    /// It failed; with `RollBack` the old release serves.
    Failed {
        /// Why.
        reason: String,
    },
}

impl DeploymentState {
    /// Whether nothing follows.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Done | Self::Failed { .. })
    }
}

impl NounRules for Deployment {
    const ARCHIVED: bool = true;

    fn validate(&self) -> Result<(), Invalid> {
        if self.from == Some(self.to) {
            return Err(Invalid::new("to", "the release is the one that serves already"));
        }
        DeployMode::check("", &self.strategy, &self.policy)
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.desired == DeployIntent::Abort && next.desired != DeployIntent::Abort {
            return Err(Invalid::new("desired", "an aborted deployment cannot go on: deploy again"));
        }
        if (Self { desired: self.desired, ..next.clone() }) != *self {
            return Err(Invalid::new("deployment", "only desired of a deployment can change"));
        }
        Ok(())
    }

    fn validate_report(&self, old: &DeploymentStatus, new: &DeploymentStatus) -> Result<(), Invalid> {
        if old.state.is_end() && old != new {
            return Err(Invalid::new("state", "the deployment has ended"));
        }
        if let DeploymentState::Paused { reason }
        | DeploymentState::RollingBack { reason }
        | DeploymentState::Failed { reason } = &new.state
        {
            check_length("state.reason", reason)?;
        }
        if new.weight > 100 {
            return Err(Invalid::new("weight", format!("{} is more than 100 percent", new.weight)));
        }
        Ok(())
    }

    fn validate_removal(&self, status: &DeploymentStatus) -> Result<(), Invalid> {
        if status.state.is_end() {
            return Ok(());
        }
        Err(Invalid::new("state", "a deployment under way cannot be removed: abort it first"))
    }

    fn footprint(&self, _: DeploymentId, status: &DeploymentStatus) -> Footprint {
        let mut footprint =
            Footprint { app: Some(self.app), references: vec![self.app.into()], ..Footprint::default() };
        if !status.state.is_end() {
            footprint.claims.push(Claim::OpenDeployment(self.app));
            footprint.references.push(self.to.into());
            footprint.references.extend(self.from.map(ObjectId::from));
        }
        footprint
    }
}
