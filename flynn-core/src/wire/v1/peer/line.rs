use std::borrow::Cow;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::super::form::{Form, Part};
use crate::error::Chain;
use crate::noun::{Object, ObjectId};
use crate::port::{Event, TailError};
use crate::revision::Revision;
use crate::time::Timestamp;
use crate::wire::Text;

/// One line of the answer to a snapshot or a tail.
///
/// A snapshot is a `Snapshot` line and as many `Event` lines as it says. A tail is any number of commits,
/// each a `Commit` line and as many `Event` lines as it says, with a `Beat` between two commits now and
/// then, and an `End`. So no line is longer than one object makes it.
#[derive(Debug)]
pub(crate) enum Line {
    Snapshot {
        revision: Revision,
        at: Timestamp,
        objects: u64,
    },
    Commit {
        revision: Revision,
        at: Timestamp,
        events: u64,
    },
    Event(Event),
    /// What happened to an object that this release cannot read, or could not write; only the problem is known.
    Opaque(String),
    Beat,
    End(TailError),
    /// A line of a later release. It may be passed over.
    Later(String),
}

#[derive(Serialize, Deserialize)]
struct LineForm {
    #[serde(rename = "type")]
    word: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Box<RawValue>>,
}

const SNAPSHOT: &str = "snapshot";
const COMMIT: &str = "commit";
const PUT: &str = "put";
const REMOVED: &str = "removed";
const OPAQUE: &str = "opaque";
const BEAT: &str = "beat";
const END: &str = "end";

impl LineForm {
    fn new(word: &'static str) -> Self {
        Self {
            word: word.into(),
            revision: None,
            at: None,
            objects: None,
            events: None,
            object: None,
            id: None,
            problem: None,
            error: None,
        }
    }

    fn of(line: &Line) -> Result<Self, serde_json::Error> {
        Ok(match line {
            Line::Snapshot { revision, at, objects } => {
                Self { revision: Some(*revision), at: Some(*at), objects: Some(*objects), ..Self::new(SNAPSHOT) }
            }
            Line::Commit { revision, at, events } => {
                Self { revision: Some(*revision), at: Some(*at), events: Some(*events), ..Self::new(COMMIT) }
            }
            Line::Event(Event::Put(object)) => Self { object: Some(to_raw_value(&Part(object))?), ..Self::new(PUT) },
            Line::Event(Event::Removed(id)) => Self { id: Some(id.encode()), ..Self::new(REMOVED) },
            Line::Opaque(problem) => Self { problem: Some(problem.clone()), ..Self::new(OPAQUE) },
            Line::Beat => Self::new(BEAT),
            Line::End(error) => Self { error: Some(to_raw_value(&Part(error))?), ..Self::new(END) },
            Line::Later(word) => return Err(serde::ser::Error::custom(format!("no line is a `{word}`"))),
        })
    }

    fn into_line(self) -> Result<Line, &'static str> {
        Ok(match &*self.word {
            SNAPSHOT => Line::Snapshot {
                revision: self.revision.ok_or("missing field `revision`")?,
                at: self.at.ok_or("missing field `at`")?,
                objects: self.objects.ok_or("missing field `objects`")?,
            },
            COMMIT => Line::Commit {
                revision: self.revision.ok_or("missing field `revision`")?,
                at: self.at.ok_or("missing field `at`")?,
                events: self.events.ok_or("missing field `events`")?,
            },
            PUT => {
                let object = self.object.ok_or("missing field `object`")?;
                match super::decode::<Object>("object", object.get()) {
                    Ok(object) => Line::Event(Event::Put(object)),
                    Err(problem) => Line::Opaque(Chain(&problem).to_string()),
                }
            }
            REMOVED => match ObjectId::decode(&self.id.ok_or("missing field `id`")?) {
                Ok(id) => Line::Event(Event::Removed(id)),
                Err(problem) => Line::Opaque(Chain(&problem).to_string()),
            },
            OPAQUE => Line::Opaque(self.problem.unwrap_or_default()),
            BEAT => Line::Beat,
            END => {
                let error = self.error.ok_or("missing field `error`")?;
                Line::End(match super::decode::<TailError>("error", error.get()) {
                    Ok(error) => error,
                    // Whatever it means, to try again from where the reader is tells.
                    Err(problem) => TailError::Unavailable(problem.into()),
                })
            }
            word => Line::Later(word.to_owned()),
        })
    }
}

impl Form for Line {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LineForm::of(self).map_err(S::Error::custom)?.serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        LineForm::deserialize(deserializer)?.into_line().map_err(D::Error::custom)
    }
}
