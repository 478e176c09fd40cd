use std::fmt;

use flynn_core::change::Action;
use flynn_core::noun::{BuildState, DeploymentState, Desired, JobState};
use flynn_core::{Batch, Change};

macro_rules! effects {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What a process does to the world, as far as it can die before and after it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Effect { $($(#[$doc])* $name,)* }

        impl Effect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }

        impl fmt::Display for Effect {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

effects! {
    /// A blob is stored.
    BlobPut = "blob.put",
    /// A build is asked for.
    BuildCreate = "build.create",
    /// A build gets a node.
    BuildPlace = "build.place",
    /// A build has begun.
    BuildRun = "build.run",
    /// A build has ended.
    BuildEnd = "build.end",
    /// A release comes into being, and with it its deployment.
    ReleaseCreate = "release.create",
    /// A deployment has ended.
    DeploymentEnd = "deployment.end",
    /// The counts of a formation change.
    FormationChange = "formation.change",
    /// A job comes into being.
    JobCreate = "job.create",
    /// A job gets a node.
    JobPlace = "job.place",
    /// A job is being started.
    JobStart = "job.start",
    /// A job is up.
    JobUp = "job.up",
    /// A job is to get no more requests.
    JobDrain = "job.drain",
    /// A job is to end.
    JobDown = "job.down",
    /// A job is ending.
    JobStopping = "job.stopping",
    /// A job has ended.
    JobEnd = "job.end",
    /// The node makes all that a job needs around it.
    WorkplacePrepare = "workplace.prepare",
    /// The node takes that away.
    WorkplaceRelease = "workplace.release",
    /// The container of a job is made.
    ContainerCreate = "container.create",
    /// The container of a job is started.
    ContainerStart = "container.start",
    /// The container of a job gets a signal.
    ContainerSignal = "container.signal",
    /// The container of a job is taken away.
    ContainerRemove = "container.remove",
    /// The container of a build is made.
    SandboxCreate = "sandbox.create",
    /// The container of a build is started.
    SandboxStart = "sandbox.start",
    /// The container of a build is taken away.
    SandboxRemove = "sandbox.remove",
    /// A change of what a process follows is taken in.
    ChangeTaken = "change.taken",
    /// A router says how far it has come.
    Acknowledge = "acknowledge",
}

impl Effect {
    /// What a batch does, in its order.
    pub(super) fn of(batch: &Batch) -> impl Iterator<Item = Self> {
        batch.changes.iter().filter_map(Self::of_change)
    }

    fn of_change(change: &Change) -> Option<Self> {
        match change {
            Change::Build(write) => match &write.action {
                Action::Create { .. } => Some(Self::BuildCreate),
                Action::Report(status) => match &status.state {
                    BuildState::Assigned => Some(Self::BuildPlace),
                    BuildState::Running => Some(Self::BuildRun),
                    state => state.is_end().then_some(Self::BuildEnd),
                },
                Action::Update(_) | Action::Remove => None,
            },
            Change::Release(write) => matches!(write.action, Action::Create { .. }).then_some(Self::ReleaseCreate),
            Change::Deployment(write) => match &write.action {
                Action::Report(status) if status.state == DeploymentState::Done => Some(Self::DeploymentEnd),
                _ => None,
            },
            Change::Formation(write) => matches!(write.action, Action::Update(_)).then_some(Self::FormationChange),
            Change::Job(write) => match &write.action {
                Action::Create { .. } => Some(Self::JobCreate),
                Action::Update(job) => match job.desired {
                    Desired::Up | Desired::Replace => None,
                    Desired::Drain => Some(Self::JobDrain),
                    Desired::Down => Some(Self::JobDown),
                },
                Action::Report(status) => match &status.state {
                    JobState::Pending { .. } => None,
                    JobState::Assigned => Some(Self::JobPlace),
                    JobState::Starting => Some(Self::JobStart),
                    JobState::Up { .. } => Some(Self::JobUp),
                    JobState::Stopping => Some(Self::JobStopping),
                    JobState::Exited(_) | JobState::Lost { .. } => Some(Self::JobEnd),
                },
                Action::Remove => None,
            },
            _ => None,
        }
    }
}
