use std::collections::BTreeMap;

use crate::id::Id;
use crate::name::ProcessName;
use crate::noun::release::check_processes;
use crate::noun::{AppId, NodeId, ObjectId, ProcessType};
use crate::rule::{
    Claim, Footprint, Invalid, NounRules, Usage, check_length, check_number, check_resources, check_text,
};
use crate::time::Timestamp;
use crate::value::{Digest, Resources};

/// The id of a [`Build`].
pub type BuildId = Id<Build>;

/// The making of an image from source. It is placed on a node like a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The app.
    pub app: AppId,
    /// Its number within the app, from 1.
    pub number: u64,
    /// The source tree, stored before the build was committed.
    pub source: Digest,
    /// The source commit, where there is one.
    pub commit: Option<String>,
    /// The branch that the commit was pushed to, where it was.
    pub branch: Option<String>,
    /// What it asks for, and may not exceed.
    pub resources: Resources,
    /// The node it is placed on. Set once, never changed.
    pub node: Option<NodeId>,
    /// What is intended for it.
    pub desired: BuildIntent,
}

/// What is intended for a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildIntent {
    /// Finish.
    Finish,
    /// Stop and throw away what was made.
    Cancel,
}

/// What is known of a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildStatus {
    /// Where it is in its life.
    pub state: BuildState,
    /// When it entered that state.
    pub since: Timestamp,
}

/// The life of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildState {
    /// Not placed, and why.
    Pending {
        /// The reason.
        reason: String,
    },
    /// Placed; the node has not begun.
    Assigned,
    /// Under way.
    Running,
    /// The image is made and its blobs are durable.
    Succeeded(BuildOutput),
    /// It failed.
    Failed {
        /// The step that failed, such as `install dependencies`.
        step: String,
        /// What went wrong.
        reason: String,
    },
    /// It was cancelled.
    Cancelled,
    /// Its node is gone.
    Lost {
        /// What happened.
        reason: String,
    },
}

impl Default for BuildState {
    fn default() -> Self {
        Self::Pending { reason: String::from("not considered yet") }
    }
}

/// What a build made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOutput {
    /// The image manifest.
    pub image: Digest,
    /// The process types found in the source.
    pub processes: BTreeMap<ProcessName, ProcessType>,
}

impl BuildState {
    /// Whether nothing follows.
    pub fn is_end(&self) -> bool {
        !matches!(self, Self::Pending { .. } | Self::Assigned | Self::Running)
    }
}

impl NounRules for Build {
    const ARCHIVED: bool = true;

    fn validate(&self) -> Result<(), Invalid> {
        check_number("number", self.number)?;
        check_resources("resources", self.resources)?;
        self.commit.as_ref().map_or(Ok(()), |commit| check_text("commit", commit, 128))?;
        self.branch.as_ref().map_or(Ok(()), |branch| check_text("branch", branch, 256))
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.node.is_some() && self.node != next.node {
            return Err(Invalid::new("node", "a placed build never moves: cancel it and create another"));
        }
        if self.desired == BuildIntent::Cancel && next.desired == BuildIntent::Finish {
            return Err(Invalid::new("desired", "a cancelled build cannot go on: create another"));
        }
        let fixed = Self { node: self.node, desired: self.desired, ..next.clone() };
        if fixed != *self {
            return Err(Invalid::new("build", "only node and desired of a build can change"));
        }
        Ok(())
    }

    fn validate_report(&self, old: &BuildStatus, new: &BuildStatus) -> Result<(), Invalid> {
        if old.state.is_end() && old != new {
            return Err(Invalid::new("state", "the build has ended"));
        }
        let pending = |state: &BuildState| matches!(state, BuildState::Pending { .. });
        if !pending(&old.state) && pending(&new.state) {
            return Err(Invalid::new("state", "a placed build cannot become pending again"));
        }
        if let BuildState::Failed { reason, .. } | BuildState::Pending { reason } | BuildState::Lost { reason } =
            &new.state
        {
            check_length("state.reason", reason)?;
        }
        if let BuildState::Failed { step, .. } = &new.state {
            check_text("state.step", step, 256)?;
        }
        if let BuildState::Succeeded(output) = &new.state {
            check_processes("processes", &output.processes)?;
            output.processes.iter().try_for_each(|(name, process)| process.validate(&format!("processes.{name}")))?;
        }
        Ok(())
    }

    fn validate_whole(&self, status: &BuildStatus) -> Result<(), Invalid> {
        // What waited for a node in vain, or was cancelled meanwhile, never had one.
        let ended_early =
            matches!(status.state, BuildState::Cancelled | BuildState::Failed { .. }) && self.node.is_none();
        let pending = matches!(status.state, BuildState::Pending { .. }) || ended_early;
        if pending == self.node.is_some() {
            let problem = "a build has a node if and only if it is not pending: write both in one batch";
            return Err(Invalid::new("node", problem));
        }
        Ok(())
    }

    fn validate_removal(&self, status: &BuildStatus) -> Result<(), Invalid> {
        if status.state.is_end() {
            return Ok(());
        }
        Err(Invalid::new("state", "a build under way cannot be removed: cancel it first"))
    }

    fn footprint(&self, _: BuildId, status: &BuildStatus) -> Footprint {
        let ended = status.state.is_end();
        let mut references = vec![self.app.into()];
        references.extend(self.node.filter(|_| !ended).map(ObjectId::from));
        Footprint {
            app: Some(self.app),
            node: self.node,
            claims: vec![Claim::BuildNumber(self.app, self.number)],
            references,
            load: (!ended).then_some(self.resources),
            usage: if ended { Usage::ZERO } else { Usage { instances: 1, resources: self.resources, ..Usage::ZERO } },
            ..Footprint::default()
        }
    }
}
