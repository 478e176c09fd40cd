use std::time::Duration;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::name::ProcessName;
use crate::noun::{AppId, JobId, ReleaseId};
use crate::time::Timestamp;

/// Recent measurements, for autoscaling and for the checks of deployments. Bounded: the oldest go first.
///
/// An absent measurement is not a zero. Whoever decides on samples says what "no data" means to it.
#[async_trait]
pub trait Samples: Send + Sync {
    /// Adds measurements. Those older than what is kept, and values that are not finite, are dropped; those
    /// from the future count as of this moment.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    async fn record(&self, samples: Vec<Sample>) -> Result<(), StoreError>;

    /// The measurements that match, oldest first.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    async fn query(&self, query: SampleQuery) -> Result<Vec<Sample>, StoreError>;
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What was measured.
    pub subject: Subject,
    /// Which property.
    pub measure: Measure,
    /// When.
    pub at: Timestamp,
    /// The value, in the unit of the measure.
    pub value: f64,
}

/// What a measurement is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The app.
    pub app: AppId,
    /// The process type.
    pub process: ProcessName,
    /// The release.
    pub release: ReleaseId,
    /// The job, where one was measured.
    pub job: Option<JobId>,
}

/// A measured property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Measure {
    /// Processor time used, in thousandths of a core.
    CpuMillis,
    /// Memory used, in bytes.
    MemoryBytes,
    /// Requests being served.
    InFlight,
    /// Requests a second.
    RequestRate,
    /// Failed requests a second.
    ErrorRate,
    /// The 95th percentile of response times, in milliseconds.
    LatencyP95Millis,
}

/// Which measurements are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleQuery {
    /// Of this app.
    pub app: AppId,
    /// Of this process type; of all if none.
    pub process: Option<ProcessName>,
    /// Of this release; of all if none.
    pub release: Option<ReleaseId>,
    /// This property.
    pub measure: Measure,
    /// Not older than this.
    pub window: Duration,
}
