//! Values that are sent by themselves.

use super::form::{Form, Part};
use super::{from_json, to_json};
use crate::wire::WireError;

/// The message that says `value`.
pub(crate) fn encode<T: Form>(what: &'static str, value: &T) -> Result<String, WireError> {
    to_json(what, None, &Part(value))
}

/// What a message says.
pub(crate) fn decode<T: Form>(what: &'static str, message: &str) -> Result<T, WireError> {
    from_json(what, message).map(|Part(value)| value)
}

/// The value that is written as the word `text`, as in the query of a request.
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
pub(crate) fn encode_word<T: Form>(what: &'static str, value: &T) -> Result<String, WireError> {
    let quoted = encode(what, value)?;
    Ok(quoted.trim_matches('"').to_owned())
}
