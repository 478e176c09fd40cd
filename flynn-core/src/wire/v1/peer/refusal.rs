use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::form::{self, forms};
use crate::change::Verb;
use crate::error::{BoxError, Chain, Conflict, StoreError};
use crate::noun::ObjectId;
use crate::port::TailError;
use crate::revision::Revision;
use crate::rule::{Denial, Invalid};

forms! {
    mirror Denial => DenialForm,
    mirror Invalid => InvalidForm,
    mirror Verb => VerbForm,
    convert TailError => TailErrorForm,
}

/// A [`StoreError`] without its operation, which the caller knows.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Refusal {
    NotFound {
        #[serde(with = "form")]
        id: ObjectId,
    },
    Conflict {
        #[serde(with = "form")]
        conflict: Conflict,
    },
    Invalid {
        what: String,
        #[serde(with = "form")]
        invalid: Invalid,
    },
    NotAllowed {
        #[serde(with = "form")]
        denial: Denial,
    },
    Unavailable {
        source: String,
    },
    Internal {
        source: String,
    },
}

impl From<&StoreError> for Refusal {
    fn from(error: &StoreError) -> Self {
        let text = |source: &BoxError| Chain(&**source).to_string();
        match error {
            StoreError::NotFound { id, .. } => Self::NotFound { id: *id },
            StoreError::Conflict { conflict, .. } => Self::Conflict { conflict: conflict.clone() },
            StoreError::Invalid { what, invalid, .. } => Self::Invalid { what: what.clone(), invalid: invalid.clone() },
            StoreError::NotAllowed { denial, .. } => Self::NotAllowed { denial: denial.clone() },
            StoreError::Unavailable { source, .. } => Self::Unavailable { source: text(source) },
            StoreError::Internal { source, .. } => Self::Internal { source: text(source) },
        }
    }
}

#[cfg(any(feature = "client", test))]
impl Refusal {
    /// The error of `operation` that it stands for.
    pub(super) fn of(self, operation: &'static str) -> StoreError {
        match self {
            Self::NotFound { id } => StoreError::NotFound { operation, id },
            Self::Conflict { conflict } => StoreError::Conflict { operation, conflict },
            Self::Invalid { what, invalid } => StoreError::Invalid { operation, what, invalid },
            Self::NotAllowed { denial } => StoreError::NotAllowed { operation, denial },
            Self::Unavailable { source } => StoreError::Unavailable { operation, source: BoxError::from(source) },
            Self::Internal { source } => StoreError::Internal { operation, source: BoxError::from(source) },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Denial", tag = "type", rename_all = "snake_case")]
enum DenialForm {
    UnknownToken,
    ExpiredToken,
    Forbidden {
        #[serde(with = "form")]
        verb: Verb,
        #[serde(with = "form")]
        id: ObjectId,
        reason: Cow<'static, str>,
    },
    Unreadable {
        reason: Cow<'static, str>,
    },
    Anonymous,
    Reserved {
        reason: Cow<'static, str>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Invalid")]
struct InvalidForm {
    field: String,
    problem: Cow<'static, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Verb", rename_all = "snake_case")]
enum VerbForm {
    Create,
    Update,
    Report,
    Remove,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TailErrorForm {
    Compacted {
        after: Revision,
    },
    Unavailable {
        source: String,
    },
    NotAllowed {
        #[serde(with = "form")]
        denial: Denial,
    },
}

impl From<&TailError> for TailErrorForm {
    fn from(error: &TailError) -> Self {
        match error {
            TailError::Compacted { after } => Self::Compacted { after: *after },
            TailError::Unavailable(source) => Self::Unavailable { source: Chain(&**source).to_string() },
            TailError::NotAllowed(denial) => Self::NotAllowed { denial: denial.clone() },
        }
    }
}

impl From<TailErrorForm> for TailError {
    fn from(error: TailErrorForm) -> Self {
        match error {
            TailErrorForm::Compacted { after } => Self::Compacted { after },
            TailErrorForm::Unavailable { source } => Self::Unavailable(source.into()),
            TailErrorForm::NotAllowed { denial } => Self::NotAllowed(denial),
        }
    }
}
