//! Durations as whole milliseconds.

use std::time::Duration;

use serde::ser::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    match u64::try_from(span.as_millis()) {
        Ok(millis) if Duration::from_millis(millis) == *span => serializer.serialize_u64(millis),
        // Rounded, the object would be another one after it is read back.
        _ => Err(S::Error::custom(format!("{span:?} is not a whole number of milliseconds"))),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
