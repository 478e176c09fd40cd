//! The errors of the store ports.

use std::error::Error;
#[cfg(any(feature = "link", feature = "sqlite", all(feature = "wire", test)))]
use std::fmt;

use crate::change::MOST_CHANGES;
use crate::election::Epoch;
use crate::name::HostPattern;
use crate::noun::{NodeId, ObjectId, TeamId};
use crate::revision::Revision;
use crate::rule::{Claim, Denial, Invalid, Misfit, OverQuota};

/// The cause beneath an error, whatever library it came from.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error and all its causes, on one line.
#[cfg(any(feature = "link", feature = "sqlite", all(feature = "wire", test)))]
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

#[cfg(any(feature = "link", feature = "sqlite", all(feature = "wire", test)))]
impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

/// Why a store did not do what it was asked. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The object is not there, or the principal may not know of it. Read again before you decide what to do.
    #[error("{operation}: there is no {id}")]
    NotFound {
        /// What was being done.
        operation: &'static str,
        /// The missing object.
        id: ObjectId,
    },
    /// The state is not what the caller took it for, or somebody else was first. Read again and decide anew.
    #[error("{operation}: conflict")]
    Conflict {
        /// What was being done.
        operation: &'static str,
        /// With what.
        #[source]
        conflict: Conflict,
    },
    /// The request can never succeed as it is.
    #[error("{operation}: invalid {what}")]
    Invalid {
        /// What was being done.
        operation: &'static str,
        /// The part of the request that is wrong.
        what: String,
        /// What is wrong with it.
        #[source]
        invalid: Invalid,
    },
    /// The principal may not do this.
    #[error("{operation}: not allowed")]
    NotAllowed {
        /// What was being done.
        operation: &'static str,
        /// Why not.
        #[source]
        denial: Denial,
    },
    /// The store cannot answer at present. Whether a commit was applied may be unknown: repeat it with the
    /// same idempotency key.
    #[error("{operation}: the store is unavailable")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The store found itself broken, or what it holds.
    #[error("{operation}: internal error of the store")]
    Internal {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
}

/// The cause of an [`Unavailable`](StoreError::Unavailable) that ends when somebody makes room. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the data disk is full ({problem})")]
pub struct DiskFull {
    /// What was said by whoever wanted to write.
    pub problem: String,
}

/// What a batch collided with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The spec was changed in the meantime.
    #[error("the spec of {id} has version {actual} and not {expected}")]
    SpecVersion {
        /// The object.
        id: ObjectId,
        /// What the writer had read.
        expected: Revision,
        /// What it is.
        actual: Revision,
    },
    /// The status was changed in the meantime.
    #[error("the status of {id} has version {actual} and not {expected}")]
    StatusVersion {
        /// The object.
        id: ObjectId,
        /// What the writer had read.
        expected: Revision,
        /// What it is.
        actual: Revision,
    },
    /// An object with this id is there already.
    #[error("there is a {0} already")]
    Exists(ObjectId),
    /// A name or slot is taken.
    #[error("{} is taken by {holder}", claim.describe())]
    Claimed {
        /// The name or slot.
        claim: Claim,
        /// Who has it.
        holder: ObjectId,
    },
    /// A host is used by another team.
    #[error("the host {host} is used by another team")]
    HostTaken {
        /// The host.
        host: HostPattern,
    },
    /// An object that is to go is still needed.
    #[error("{id} is still needed by {by}")]
    InUse {
        /// The object.
        id: ObjectId,
        /// One that needs it.
        by: ObjectId,
    },
    /// The writer is not the leader any more.
    #[error("epoch {epoch} is over: the seat is in epoch {current}")]
    Deposed {
        /// The writer's epoch.
        epoch: Epoch,
        /// The epoch of the seat.
        current: Epoch,
    },
    /// What was placed does not fit.
    #[error("{id} does not fit on node {node}: {misfit}")]
    DoesNotFit {
        /// The job or build.
        id: ObjectId,
        /// The node.
        node: NodeId,
        /// Why not.
        misfit: Misfit,
    },
    /// A team would use more than its quota.
    #[error("team {team}: {over}")]
    OverQuota {
        /// The team.
        team: TeamId,
        /// Of what, and by how much.
        over: OverQuota,
    },
    /// The idempotency key was used for something else.
    #[error("the idempotency key `{key}` was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// With something that this release does not know: a store elsewhere is of a later one.
    #[error("{text}")]
    Unknown {
        /// What the store says of it.
        text: String,
    },
}

pub(crate) const COMMIT: &str = "commit";

impl StoreError {
    pub(crate) fn conflict(conflict: Conflict) -> Self {
        Self::Conflict { operation: COMMIT, conflict }
    }

    pub(crate) fn invalid(what: impl ToString, invalid: Invalid) -> Self {
        Self::Invalid { operation: COMMIT, what: what.to_string(), invalid }
    }

    pub(crate) fn too_many_changes(count: usize) -> Self {
        let problem = format!("{count} changes are more than the {MOST_CHANGES} of one batch: split it");
        Self::invalid("batch", Invalid::new("changes", problem))
    }
}
