//! What peers say to each other, in version 1: the messages of `/peer/v1`, see [`crate::server::peer`].
//!
//! The rules of the documents hold here too. A reader of a later release's messages ignores fields it does
//! not know. An object whose kind or document it does not know is opaque; a refusal it does not know is told
//! from its class and its text.

mod blob;
mod change;
mod claim;
mod conflict;
mod election;
mod environment;
mod history;
mod line;
mod object;
mod opened_key;
mod presence;
mod problem;
mod refusal;
mod sample;
#[cfg(test)]
mod tests;
mod way;

use serde::{Deserialize, Serialize};

#[cfg(feature = "client")]
pub(crate) use super::form::Form;
use super::form::{self, forms};
use crate::rule::Principal;

#[cfg(any(feature = "server", test))]
pub(crate) use super::message::decode_word;
#[cfg(any(feature = "client", test))]
pub(crate) use super::message::encode_word;
pub(crate) use super::message::{decode, encode};
#[cfg(feature = "client")]
pub(crate) use blob::LONGEST_PIECE;
pub(crate) use blob::{BlobRefusal, DAMAGED, Found, NO_MORE};
pub(crate) use election::{Candidacy, Resignation};
pub(crate) use environment::Environment;
#[cfg(any(feature = "client", test))]
pub(crate) use history::decode_page;
#[cfg(any(feature = "server", test))]
pub(crate) use history::encode_page;
pub(crate) use line::Line;
pub(crate) use opened_key::OpenedKey;
pub(crate) use presence::Beating;
pub(crate) use problem::Problem;
pub(crate) use way::{WayLine, WayRefusal};

/// Who the server takes the caller for; nobody in particular if it trusts the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whoami {
    pub(crate) principal: Option<Principal>,
}

forms! {
    mirror Whoami => WhoamiForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Whoami")]
struct WhoamiForm {
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    principal: Option<Principal>,
}
