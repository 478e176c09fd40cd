//! Problem details (RFC 9457), which every refusal of the protocol is.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::refusal::Refusal;
use crate::error::StoreError;
#[cfg(any(feature = "client", test))]
use crate::rule::{Denial, Invalid};

/// A refusal. What is not here of RFC 9457 has its default.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) title: String,
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) detail: String,
    /// Of what class it is: a stable word.
    #[serde(default)]
    pub(crate) code: String,
    /// The error itself, if it is one of the store's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Box<RawValue>>,
}

impl Problem {
    /// Puts the error beside its description.
    #[cfg(any(feature = "server", test))]
    pub(crate) fn with_error(mut self, error: &StoreError) -> Self {
        self.error = serde_json::value::to_raw_value(&Refusal::from(error)).ok();
        self
    }

    /// The error of `operation` that this is. A later release's is known by its class.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn into_error(self, operation: &'static str) -> StoreError {
        if let Some(error) = &self.error
            && let Ok(refusal) = serde_json::from_str::<Refusal>(error.get())
        {
            return refusal.of(operation);
        }
        let text = if self.detail.is_empty() { self.title } else { self.detail };
        match self.code.as_str() {
            "conflict" => StoreError::Conflict { operation, conflict: crate::error::Conflict::Unknown { text } },
            "invalid" => {
                let invalid = Invalid::new(".", text);
                StoreError::Invalid { operation, what: String::from("request"), invalid }
            }
            "not_allowed" | "unauthenticated" => {
                StoreError::NotAllowed { operation, denial: Denial::Reserved { reason: text.into() } }
            }
            "unavailable" => StoreError::Unavailable { operation, source: text.into() },
            _ => StoreError::Internal { operation, source: format!("{}: {text}", self.status).into() },
        }
    }
}
