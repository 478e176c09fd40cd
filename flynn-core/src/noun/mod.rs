//! The nouns of Flynn: what a store holds.
//!
//! Each noun is a spec (what is intended) with a status (what is known). Both halves have versions of
//! their own, so that a person who changes the spec and a loop that reports the status never collide.
//! The rules of a noun stand in the file of the noun.

mod access;
mod addon;
mod app;
mod build;
mod certificate;
mod deploy_mode;
mod deployment;
mod formation;
mod job;
mod log_drain;
mod node;
mod placement;
mod quota;
mod release;
mod route;
mod router;
mod table;
mod volume;

use std::fmt;
use std::sync::Arc;

pub use access::{Grant, GrantId, Role, Standing, Team, TeamId, Token, TokenHash, TokenId, TokenScope, User, UserId};
pub use addon::{Addon, AddonId, AddonStatus, Provider, ProviderId};
pub use app::{App, AppId, AppLifecycle, AppStatus, Traffic};
pub use build::{Build, BuildId, BuildIntent, BuildOutput, BuildState, BuildStatus};
pub use certificate::{Certificate, CertificateId, CertificateSource, CertificateStatus, KeyPair};
pub use deploy_mode::{DeployMode, DeployPolicy, OnFailure, Share, ShareError, Strategy};
pub use deployment::{DeployIntent, Deployment, DeploymentId, DeploymentState, DeploymentStatus};
pub use formation::{Formation, FormationId, Scale};
pub use job::{Desired, Exit, Health, Job, JobId, JobState, JobStatus, OneOffInput, Purpose, Terminal, Workload};
pub use log_drain::{LogDrain, LogDrainId};
pub use node::{Liveness, Node, NodeId, NodeStatus, Scheduling};
pub use placement::{LabelConstraint, LabelConstraintError, LabelTest, Placement};
pub use quota::{Quota, QuotaId};
pub use release::{HealthCheck, Probe, ProcessType, Release, ReleaseCause, ReleaseId};
pub use route::{Affinity, Entry, PlainHttp, ProxyProtocol, Route, RouteId};
pub use router::{Router, RouterId, RouterStatus};
pub use table::Objects;
pub use volume::{Volume, VolumeId, VolumeStatus};

use crate::change::{Change, Write};
use crate::id::Id;
use crate::revision::Revision;
use crate::rule::{Footprint, Invalid, NounRules};
use crate::time::Timestamp;

/// A kind of object that a store holds. The trait is sealed: the nouns are a closed set.
pub trait Noun: Clone + PartialEq + fmt::Debug + Send + Sync + sealed::Noun + 'static {
    /// What is known of an object; its default is what is known of one just created.
    type Status: Clone + PartialEq + Default + fmt::Debug + Send + Sync + 'static;
    /// Its kind as a value.
    const KIND: Kind;
}

/// An object as a store holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<N: Noun> {
    /// Its id.
    pub id: Id<N>,
    /// The team that owns it.
    pub team: TeamId,
    /// What is intended.
    pub spec: N,
    /// What is known.
    pub status: N::Status,
    /// The revision that last changed the spec.
    pub spec_version: Revision,
    /// The revision that last changed the status.
    pub status_version: Revision,
    /// When it was created, by the store's time.
    pub created_at: Timestamp,
}

pub(crate) mod sealed {
    use std::sync::Arc;

    use super::{Objects, Stored};
    use crate::change::{Change, Write};
    use crate::id::Id;

    /// What the macro below knows of each noun.
    pub trait Noun: Sized {
        fn table(objects: &Objects) -> &imbl::OrdMap<Id<Self>, Arc<Stored<Self>>>
        where
            Self: super::Noun;
        fn table_mut(objects: &mut Objects) -> &mut imbl::OrdMap<Id<Self>, Arc<Stored<Self>>>
        where
            Self: super::Noun;
        fn change(write: Write<Self>) -> Change
        where
            Self: super::Noun;
    }
}

/// Writes what is the same for every noun: the closed sets over all nouns and the way into each.
macro_rules! nouns {
    ($($noun:ident, $status:ty, $text:literal, $table:ident;)*) => {
        /// The kinds of objects.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Kind { $(#[doc = concat!("[`", stringify!($noun), "`](crate::noun::", stringify!($noun), ").")] $noun,)* }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$noun,)*];

            /// The kind as it is written in documents and messages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$noun => $text,)* }
            }

            /// The kind that is written `text`.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$noun),)* _ => None }
            }
        }

        /// The id of an object of any noun.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ObjectId { $(#[doc = concat!("The id of a [`", stringify!($noun), "`](crate::noun::", stringify!($noun), ").")] $noun(Id<$noun>),)* }

        impl ObjectId {
            /// An id of `kind`.
            pub const fn new(kind: Kind, uuid: uuid::Uuid) -> Self {
                match kind { $(Kind::$noun => Self::$noun(Id::from_uuid(uuid)),)* }
            }

            /// The kind it names.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$noun(_) => Kind::$noun,)* }
            }

            /// The raw UUID.
            pub const fn uuid(&self) -> uuid::Uuid {
                match self { $(Self::$noun(id) => id.uuid(),)* }
            }
        }

        /// An object of any noun. Cloning shares it.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Object { $(#[doc = concat!("A [`", stringify!($noun), "`](crate::noun::", stringify!($noun), ").")] $noun(Arc<Stored<$noun>>),)* }

        impl Object {
            /// Its id.
            pub fn id(&self) -> ObjectId {
                match self { $(Self::$noun(stored) => ObjectId::$noun(stored.id),)* }
            }

            /// The team that owns it.
            pub fn team(&self) -> TeamId {
                match self { $(Self::$noun(stored) => stored.team,)* }
            }

            /// The revision that last changed the spec.
            pub fn spec_version(&self) -> Revision {
                match self { $(Self::$noun(stored) => stored.spec_version,)* }
            }

            /// The revision that last changed the status.
            pub fn status_version(&self) -> Revision {
                match self { $(Self::$noun(stored) => stored.status_version,)* }
            }

            /// When it was created.
            pub fn created_at(&self) -> Timestamp {
                match self { $(Self::$noun(stored) => stored.created_at,)* }
            }

            pub(crate) fn footprint(&self) -> Footprint {
                match self { $(Self::$noun(stored) => stored.spec.footprint(stored.id, &stored.status),)* }
            }

            pub(crate) fn validate_whole(&self) -> Result<(), Invalid> {
                match self { $(Self::$noun(stored) => stored.spec.validate_whole(&stored.status),)* }
            }

            pub(crate) fn is_archived(&self) -> bool {
                match self { $(Self::$noun(_) => <$noun as NounRules>::ARCHIVED,)* }
            }
        }

        $(
            impl From<Id<$noun>> for ObjectId {
                fn from(id: Id<$noun>) -> Self {
                    Self::$noun(id)
                }
            }

            impl From<Stored<$noun>> for Object {
                fn from(stored: Stored<$noun>) -> Self {
                    Self::$noun(Arc::new(stored))
                }
            }

            impl Noun for $noun {
                type Status = $status;
                const KIND: Kind = Kind::$noun;
            }

            impl sealed::Noun for $noun {
                fn table(objects: &Objects) -> &imbl::OrdMap<Id<Self>, Arc<Stored<Self>>> {
                    &objects.$table
                }
                fn table_mut(objects: &mut Objects) -> &mut imbl::OrdMap<Id<Self>, Arc<Stored<Self>>> {
                    &mut objects.$table
                }
                fn change(write: Write<Self>) -> Change {
                    Change::$noun(Box::new(write))
                }
            }
        )*
    };
}

/// The one list of all nouns: name, status, the word for it, its table.
macro_rules! with_nouns {
    ($callback:ident) => {
        $callback! {
            Addon, AddonStatus, "addon", addons;
            App, AppStatus, "app", apps;
            Build, BuildStatus, "build", builds;
            Certificate, CertificateStatus, "certificate", certificates;
            Deployment, DeploymentStatus, "deployment", deployments;
            Formation, (), "formation", formations;
            Grant, (), "grant", grants;
            Job, JobStatus, "job", jobs;
            LogDrain, (), "log_drain", log_drains;
            Node, NodeStatus, "node", nodes;
            Provider, (), "provider", providers;
            Quota, (), "quota", quotas;
            Release, (), "release", releases;
            Route, (), "route", routes;
            Router, RouterStatus, "router", routers;
            Team, (), "team", teams;
            Token, (), "token", tokens;
            User, (), "user", users;
            Volume, VolumeStatus, "volume", volumes;
        }
    };
}
pub(crate) use with_nouns;

with_nouns!(nouns);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.uuid())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
