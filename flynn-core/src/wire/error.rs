use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::ser::Serialize;
use uuid::Uuid;

use crate::error::BoxError;

/// Why there is no document for a value, or no value in a document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The value cannot be written. It has to be refused.
    #[error("cannot write {what}{} at `{field}`", spaced(.id))]
    Unwritable {
        /// The kind of the object, or what else it is.
        what: &'static str,
        /// The id of the object.
        id: Option<Uuid>,
        /// The field, as a path such as `spec.processes.web.stop_timeout_ms`.
        field: String,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// The document cannot be read. What it stands for is there all the same, but opaque.
    #[error("cannot read {what}{} at `{field}`", spaced(.id))]
    Unreadable {
        /// The kind of the object, or what else it is.
        what: &'static str,
        /// The id of the object, if that can be read.
        id: Option<Uuid>,
        /// The field, as a path such as `status.state`; `.` is the whole. The path ends at an enum if
        /// the problem is in what its variant holds.
        field: String,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
}

fn spaced(id: &Option<Uuid>) -> String {
    id.map(|id| format!(" {id}")).unwrap_or_default()
}

/// Writes `value` as JSON.
pub(super) fn to_json(what: &'static str, id: Option<Uuid>, value: &impl Serialize) -> Result<String, WireError> {
    serde_json::to_string(value).map_err(|source| {
        // Paths are only kept track of where one is needed: the second pass ends where the first did.
        let mut track = serde_path_to_error::Track::new();
        let mut nowhere = serde_json::Serializer::new(std::io::sink());
        let _ = value.serialize(serde_path_to_error::Serializer::new(&mut nowhere, &mut track));
        WireError::Unwritable { what, id, field: track.path().to_string(), source: source.into() }
    })
}

/// Reads a value from JSON.
pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, document: &str) -> Result<T, WireError> {
    serde_json::from_str(document).map_err(|source| {
        let tracked: Result<T, _> = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(document));
        let field = tracked.err().map_or_else(|| String::from("."), |error| error.path().to_string());
        WireError::Unreadable { what, id: id_in(document), field, source: source.into() }
    })
}

fn id_in(document: &str) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct Identified {
        id: Uuid,
    }
    serde_json::from_str(document).ok().map(|Identified { id }| id)
}
