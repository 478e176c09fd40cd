use serde::{Deserialize, Serialize};

use super::super::form::{self, forms};
use crate::name::ProcessName;
use crate::noun::{AppId, JobId, ReleaseId};
use crate::port::{Measure, Sample, Subject};
use crate::time::Timestamp;

forms! {
    mirror Sample => SampleForm,
    mirror Subject => SubjectForm,
    mirror Measure => MeasureForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Sample")]
struct SampleForm {
    #[serde(with = "form")]
    subject: Subject,
    #[serde(with = "form")]
    measure: Measure,
    at: Timestamp,
    #[serde(with = "finite")]
    value: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Subject")]
struct SubjectForm {
    app: AppId,
    process: ProcessName,
    release: ReleaseId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Measure", rename_all = "snake_case")]
enum MeasureForm {
    CpuMillis,
    MemoryBytes,
    InFlight,
    RequestRate,
    ErrorRate,
    LatencyP95Millis,
}

/// JSON has no word for what is not a number.
mod finite {
    use serde::ser::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match value.is_finite() {
            true => serializer.serialize_f64(*value),
            false => Err(S::Error::custom(format!("{value} is not a number that can be written"))),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        f64::deserialize(deserializer)
    }
}
