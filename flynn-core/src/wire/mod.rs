//! The documents in which nouns are stored and sent.
//!
//! A document is JSON: an envelope around the spec and the status of one object.
//!
//! ```json
//! {"v":1,"id":"…","team":"…","created_at":0,"spec_version":1,"status_version":1,"spec":{},"status":{}}
//! ```
//!
//! The kind of the object is not part of it: whoever keeps a document keeps the kind beside it. A noun
//! without a status has an empty one in its document. Fields are in `snake_case`; what is not set, and a
//! map or set without entries, is left out. An enum is a word, or an object whose `type` is that word if
//! one of its variants has content; a status that is an enum has the word in its `state`. Durations are
//! whole milliseconds in fields that end in `_ms`, points in time milliseconds since 1970, bytes
//! hexadecimal digits.
//!
//! # Evolution
//!
//! Documents outlive the program that wrote them, in both directions: a store is opened by a later
//! release, and a node may be one minor version older than its controller.
//!
//! These changes keep version 1:
//! - a new field that may be absent, absence meaning what was meant before there was the field. Readers
//!   ignore fields they do not know; one that writes the object again drops them;
//! - a new variant of an enum. Readers that do not know it refuse the document with a [`WireError`] and
//!   treat the object as opaque;
//! - a new noun, or a status for a noun that had none, if the status may be empty;
//! - a rule of a noun becoming looser or tighter: rules judge writes and not documents.
//!
//! These need the next version, beside which this one stays readable: to rename, move or remove a field,
//! to change the type, unit or meaning of one, to require one, to rename a variant or give content to one
//! of an enum that is a word, and to narrow what the parser of a name or another scalar accepts.
//!
//! A `v` above 1 is no reason to refuse a document: a later version may differ in parts that this kind or
//! this object does not have. What is written in version 1 stays in `fixtures/wire/v1` and is read by
//! every later release.

#[cfg(test)]
pub(crate) mod arbitrary;
mod error;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "client", feature = "server", feature = "sqlite", test))]
mod text;
mod v1;

pub use error::WireError;
#[cfg(any(feature = "client", feature = "server", feature = "sqlite", test))]
pub(crate) use text::Text;
#[cfg(feature = "link")]
pub(crate) use v1::message;
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) use v1::peer;
#[cfg(any(feature = "sqlite", test))]
pub(crate) use v1::{decode_membership, encode_membership};

use crate::noun::{Kind, Object};

/// The document of `object`, in the newest version.
///
/// # Errors
/// A value has no place in a document, such as a duration with a fraction of a millisecond.
pub fn encode(object: &Object) -> Result<String, WireError> {
    v1::encode(object)
}

/// The object of `kind` in `document`, whatever version and release wrote it.
///
/// # Errors
/// The document is not one of `kind`, or holds a variant or value that this release does not know. The
/// error names the field; the object is there all the same, and to be treated as opaque.
pub fn decode(kind: Kind, document: &str) -> Result<Object, WireError> {
    v1::decode(kind, document)
}
