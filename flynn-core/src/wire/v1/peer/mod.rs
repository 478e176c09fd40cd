//! What peers say to each other, in version 1: the messages of `/peer/v1`, see [`crate::server::peer`].
//!
//! The rules of the documents hold here too. A reader of a later release's messages ignores fields it does
//! not know. An object whose kind or document it does not know is opaque; a refusal it does not know is told
//! from its class and its text.

mod change;
mod claim;
mod conflict;
mod election;
mod history;
mod line;
mod object;
mod presence;
mod problem;
mod refusal;
mod sample;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::form::{self, Form, Part, forms};
use super::{from_json, to_json};
use crate::rule::Principal;
use crate::wire::WireError;

pub(crate) use election::{Candidacy, Resignation};
#[cfg(any(feature = "client", test))]
pub(crate) use history::decode_page;
#[cfg(any(feature = "server", test))]
pub(crate) use history::encode_page;
pub(crate) use line::Line;
pub(crate) use presence::Beating;
pub(crate) use problem::Problem;

/// The message that says `value`.
pub(crate) fn encode<T: Form>(what: &'static str, value: &T) -> Result<String, WireError> {
    to_json(what, None, &Part(value))
}

/// What a message says.
pub(crate) fn decode<T: Form>(what: &'static str, message: &str) -> Result<T, WireError> {
    from_json(what, message).map(|Part(value)| value)
}

/// The value that is written as the word `text`, as in the query of a request.
#[cfg(any(feature = "server", test))]
pub(crate) fn decode_word<T: Form>(what: &'static str, text: &str) -> Result<T, WireError> {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    let word: StrDeserializer<'_, Error> = text.into_deserializer();
    T::read(word).map_err(|source| WireError::Unreadable {
        what,
        id: None,
        field: String::from("."),
        source: source.into(),
    })
}

/// The word that `value` is written as.
#[cfg(any(feature = "client", test))]
pub(crate) fn encode_word<T: Form>(what: &'static str, value: &T) -> Result<String, WireError> {
    let quoted = encode(what, value)?;
    Ok(quoted.trim_matches('"').to_owned())
}

impl<T: Form> Form for Vec<T> {
    fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Part))
    }

    fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Vec::<Part<T>>::deserialize(deserializer)?;
        Ok(parts.into_iter().map(|Part(value)| value).collect())
    }
}

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
