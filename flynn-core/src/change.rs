//! What a writer asks a store to do.

use std::fmt;

use crate::id::Id;
use crate::noun::{
    Addon, App, Build, Certificate, Deployment, Formation, Grant, Job, LogDrain, Node, Provider, Quota, Release, Route,
    Router, Team, Token, User, Volume,
};
use crate::noun::{Noun, ObjectId, TeamId, with_nouns};
use crate::revision::Revision;
use crate::rule::Principal;
use crate::value::Digest;

/// The most changes of one batch.
pub const MOST_CHANGES: usize = 1_000;

/// One action on one object of noun `N`.
#[derive(Debug, Clone, PartialEq)]
pub struct Write<N: Noun> {
    /// The object.
    pub id: Id<N>,
    /// What is done with it.
    pub action: Action<N>,
}

/// What can be done with an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<N: Noun> {
    /// Bring it into being, with the default status. The id must be fresh.
    Create {
        /// The team that will own it.
        team: TeamId,
        /// What is intended.
        spec: N,
    },
    /// Replace its spec.
    Update(N),
    /// Replace its status.
    Report(N::Status),
    /// Take it away. Jobs, releases, deployments and builds go to the history.
    Remove,
}

/// What an [`Action`] does, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// [`Action::Create`].
    Create,
    /// [`Action::Update`].
    Update,
    /// [`Action::Report`].
    Report,
    /// [`Action::Remove`].
    Remove,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Report => "report",
            Self::Remove => "remove",
        })
    }
}

impl<N: Noun> Write<N> {
    /// What the action does.
    pub fn verb(&self) -> Verb {
        match self.action {
            Action::Create { .. } => Verb::Create,
            Action::Update(_) => Verb::Update,
            Action::Report(_) => Verb::Report,
            Action::Remove => Verb::Remove,
        }
    }
}

macro_rules! changes {
    ($($noun:ident, $status:ty, $text:literal, $table:ident;)*) => {
        /// One action on one object of any noun.
        ///
        /// Its `From` implementations and constructors keep noun, id and content in step.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Change { $(#[doc = concat!("An action on a [`", stringify!($noun), "`].")] $noun(Box<Write<$noun>>),)* }

        impl Change {
            /// The object it acts on.
            pub fn id(&self) -> ObjectId {
                match self { $(Self::$noun(write) => write.id.into(),)* }
            }

            /// What it does.
            pub fn verb(&self) -> Verb {
                match self { $(Self::$noun(write) => write.verb(),)* }
            }
        }

        /// Runs one generic expression on the typed write inside a change.
        macro_rules! on_write {
            ($change:expr, $write:ident => $body:expr) => {
                match $change { $($crate::change::Change::$noun($write) => $body,)* }
            };
        }
        pub(crate) use on_write;
    };
}

with_nouns!(changes);

impl Change {
    /// Creates an object.
    pub fn create<N: Noun>(id: Id<N>, team: TeamId, spec: N) -> Self {
        N::change(Write { id, action: Action::Create { team, spec } })
    }

    /// Replaces the spec of an object.
    pub fn update<N: Noun>(id: Id<N>, spec: N) -> Self {
        N::change(Write { id, action: Action::Update(spec) })
    }

    /// Replaces the status of an object.
    pub fn report<N: Noun>(id: Id<N>, status: N::Status) -> Self {
        N::change(Write { id, action: Action::Report(status) })
    }

    /// Removes an object.
    pub fn remove<N: Noun>(id: Id<N>) -> Self {
        N::change(Write { id, action: Action::Remove })
    }
}

/// What must be true for a batch to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// The spec of this object has this version.
    Spec(ObjectId, Revision),
    /// The status of this object has this version.
    Status(ObjectId, Revision),
    /// There is an object with this id.
    Exists(ObjectId),
    /// There is no object with this id.
    Absent(ObjectId),
}

/// Lets a writer repeat a commit whose answer it did not get.
///
/// A batch with a key that was applied before is not applied again: the first answer is given once more,
/// if the fingerprint is the same, and a conflict if it is not. Keys belong to their principal and are
/// remembered for a limited time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The writer's name for this one intention: 1 to 255 visible ASCII characters.
    pub key: String,
    /// A digest of what was asked, as the writer received it.
    pub fingerprint: [u8; 32],
}

/// Changes that are applied together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Who asks.
    pub principal: Principal,
    /// What must be true.
    pub expectations: Vec<Expectation>,
    /// What is to be done, in this order: a change sees the ones before it.
    pub changes: Vec<Change>,
    /// How a repetition is known.
    pub idempotency: Option<Idempotency>,
    /// Images and sources that the process which holds the store has received whole from the principal, who may
    /// therefore name them. No document of a batch carries it, so that nobody outside can claim it.
    pub received: Vec<Digest>,
}

impl Batch {
    /// A batch without changes.
    pub fn new(principal: Principal) -> Self {
        Self { principal, expectations: Vec::new(), changes: Vec::new(), idempotency: None, received: Vec::new() }
    }

    /// Adds a change.
    #[must_use]
    pub fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Adds an expectation.
    #[must_use]
    pub fn expecting(mut self, expectation: Expectation) -> Self {
        self.expectations.push(expectation);
        self
    }

    /// Says that this image or source was received whole from the principal.
    #[must_use]
    pub fn having_received(mut self, content: Digest) -> Self {
        self.received.push(content);
        self
    }

    /// Makes the batch repeatable under `key`.
    #[must_use]
    pub fn idempotent(mut self, key: impl Into<String>, fingerprint: [u8; 32]) -> Self {
        self.idempotency = Some(Idempotency { key: key.into(), fingerprint });
        self
    }
}
