use std::borrow::Cow;
use std::time::Duration;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::super::form::{Form, Part, forms};
use crate::error::Chain;
use crate::noun::JobId;
use crate::port::LinkRequest;

/// One line of the way that a node keeps open to its hub.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WayLine {
    /// The first: under which name the node beats, and how often it is to.
    Welcome {
        session: Uuid,
        beat: Duration,
    },
    /// Open this, and dial for it.
    Open {
        id: Uuid,
        request: LinkRequest,
    },
    /// Something to open that this release does not know.
    Opaque {
        id: Uuid,
        problem: String,
    },
    /// Nobody waits any more for what was opened.
    Close {
        id: Uuid,
    },
    Beat,
    /// The last, and why.
    End(String),
    /// A line of a later release. It may be passed over.
    Later(String),
}

/// Why a node does not open what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WayRefusal {
    NotFound { job: JobId },
    Refused { problem: String },
    Unavailable { problem: String },
}

forms! {
    mirror WayRefusal => WayRefusalForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "WayRefusal", tag = "type", rename_all = "snake_case")]
enum WayRefusalForm {
    NotFound { job: JobId },
    Refused { problem: String },
    Unavailable { problem: String },
}

#[derive(Serialize, Deserialize)]
struct WayLineForm {
    #[serde(rename = "type")]
    word: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beat_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

fn unwritable(problem: impl std::fmt::Display) -> serde_json::Error {
    serde::ser::Error::custom(problem)
}

impl WayLineForm {
    fn new(word: &'static str) -> Self {
        Self { word: word.into(), session: None, beat_ms: None, id: None, request: None, reason: None }
    }

    fn of(line: &WayLine) -> Result<Self, serde_json::Error> {
        Ok(match line {
            WayLine::Welcome { session, beat } => {
                let beat_ms = u64::try_from(beat.as_millis()).ok();
                Self { session: Some(*session), beat_ms, ..Self::new("welcome") }
            }
            WayLine::Open { id, request } => {
                Self { id: Some(*id), request: Some(to_raw_value(&Part(request))?), ..Self::new("open") }
            }
            WayLine::Close { id } => Self { id: Some(*id), ..Self::new("close") },
            WayLine::Beat => Self::new("beat"),
            WayLine::End(reason) => Self { reason: Some(reason.clone()), ..Self::new("end") },
            WayLine::Opaque { .. } => return Err(unwritable("what is opaque cannot be asked for")),
            WayLine::Later(word) => return Err(unwritable(format!("no line is a `{word}`"))),
        })
    }

    fn into_line(self) -> Result<WayLine, &'static str> {
        Ok(match &*self.word {
            "welcome" => WayLine::Welcome {
                session: self.session.ok_or("missing field `session`")?,
                beat: Duration::from_millis(self.beat_ms.ok_or("missing field `beat_ms`")?),
            },
            "open" => {
                let id = self.id.ok_or("missing field `id`")?;
                let request = self.request.ok_or("missing field `request`")?;
                match super::decode("request", request.get()) {
                    Ok(request) => WayLine::Open { id, request },
                    Err(problem) => WayLine::Opaque { id, problem: Chain(&problem).to_string() },
                }
            }
            "close" => WayLine::Close { id: self.id.ok_or("missing field `id`")? },
            "beat" => WayLine::Beat,
            "end" => WayLine::End(self.reason.unwrap_or_default()),
            word => WayLine::Later(word.to_owned()),
        })
    }
}

impl Form for WayLine {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WayLineForm::of(self).map_err(S::Error::custom)?.serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WayLineForm::deserialize(deserializer)?.into_line().map_err(D::Error::custom)
    }
}
