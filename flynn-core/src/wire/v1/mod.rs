//! Version 1 of the documents. Each type of a noun has its form here, in a file of the same name.

mod access;
mod addon;
mod app;
mod build;
mod certificate;
mod deployment;
mod form;
mod formation;
mod job;
#[cfg(any(feature = "link", test))]
mod link;
mod log_drain;
#[cfg(any(feature = "sqlite", test))]
mod membership;
#[cfg(any(feature = "link", test))]
pub(crate) mod message;
mod millis;
mod node;
#[cfg(any(feature = "client", feature = "server", test))]
pub(crate) mod peer;
mod quota;
mod release;
mod route;
mod router;
#[cfg(test)]
mod tests;
mod volume;
#[cfg(any(feature = "client", feature = "server", feature = "sqlite", test))]
mod word;

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::WireError;
use super::error::{from_json, to_json};
use crate::id::Id;
use crate::noun::{
    Addon, App, Build, Certificate, Deployment, Formation, Grant, Job, LogDrain, Node, Provider, Quota, Release, Route,
    Router, Team, Token, User, Volume,
};
use crate::noun::{Kind, Noun, Object, Stored, TeamId, with_nouns};
use crate::revision::Revision;
use crate::time::Timestamp;

use form::{Form, Part};
#[cfg(any(feature = "sqlite", test))]
pub(crate) use membership::{decode_membership, encode_membership};

const VERSION: NonZeroU32 = NonZeroU32::MIN;

macro_rules! documents {
    ($($noun:ident, $status:ty, $text:literal, $table:ident;)*) => {
        /// The document of an object.
        pub(super) fn encode(object: &Object) -> Result<String, WireError> {
            match object { $(Object::$noun(stored) => write(stored),)* }
        }

        /// The object of `kind` in a document.
        pub(super) fn decode(kind: Kind, document: &str) -> Result<Object, WireError> {
            match kind { $(Kind::$noun => read::<$noun>(document).map(Object::from),)* }
        }
    };
}

with_nouns!(documents);

/// The envelope; `S` and `T` are the spec and the status, borrowed to write and owned when read.
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "Part<S>: Serialize, Part<T>: Serialize"))]
#[serde(bound(deserialize = "Part<S>: Deserialize<'de>, Part<T>: Deserialize<'de>"))]
struct Document<N, S, T> {
    v: NonZeroU32,
    id: Id<N>,
    team: TeamId,
    created_at: Timestamp,
    spec_version: Revision,
    status_version: Revision,
    spec: Part<S>,
    status: Part<T>,
}

fn write<N: Noun<Status: Form> + Form>(stored: &Stored<N>) -> Result<String, WireError> {
    let document = Document {
        v: VERSION,
        id: stored.id,
        team: stored.team,
        created_at: stored.created_at,
        spec_version: stored.spec_version,
        status_version: stored.status_version,
        spec: Part(&stored.spec),
        status: Part(&stored.status),
    };
    to_json(N::KIND.as_str(), Some(stored.id.uuid()), &document)
}

fn read<N: Noun<Status: Form> + Form>(document: &str) -> Result<Stored<N>, WireError> {
    from_json(N::KIND.as_str(), document).map(|document: Document<N, N, N::Status>| Stored {
        id: document.id,
        team: document.team,
        spec: document.spec.0,
        status: document.status.0,
        spec_version: document.spec_version,
        status_version: document.status_version,
        created_at: document.created_at,
    })
}
