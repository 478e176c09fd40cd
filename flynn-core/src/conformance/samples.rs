//! What every [`Samples`] must do.
//!
//! [`samples_conformance!`](crate::samples_conformance) makes a test of each case.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::ManualClock;
use super::world::process;
use crate::noun::{AppId, JobId, ReleaseId};
use crate::port::{Measure, Sample, SampleQuery, Samples, Subject};
use crate::time::{Clock, Timestamp};

/// Makes what the suite is run against.
#[async_trait]
pub trait SamplesHarness: Send + Sync {
    /// The implementation under test.
    type Samples: Samples + 'static;

    /// One without samples that goes by `clock`, and keeps at most `per_app` samples of an app and none
    /// that is older than `age`.
    async fn open(&self, clock: Arc<dyn Clock>, per_app: usize, age: Duration) -> Arc<Self::Samples>;
}

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const MILLISECOND: Duration = Duration::from_millis(1);
const MANY: usize = 1_000;

const APP: AppId = AppId::from_uuid(Uuid::from_u128(1));
const RELEASE: ReleaseId = ReleaseId::from_uuid(Uuid::from_u128(2));
const MEASURES: [Measure; 6] = [
    Measure::CpuMillis,
    Measure::MemoryBytes,
    Measure::InFlight,
    Measure::RequestRate,
    Measure::ErrorRate,
    Measure::LatencyP95Millis,
];

async fn open<H: SamplesHarness>(harness: &H, per_app: usize) -> (Arc<H::Samples>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START));
    (harness.open(clock.clone(), per_app, HOUR).await, clock)
}

fn subject() -> Subject {
    Subject { app: APP, process: process("web"), release: RELEASE, job: None }
}

fn sample(at: Timestamp, value: f64) -> Sample {
    Sample { subject: subject(), measure: Measure::InFlight, at, value }
}

fn query() -> SampleQuery {
    SampleQuery { app: APP, process: None, release: None, measure: Measure::InFlight, window: HOUR }
}

async fn values(samples: &impl Samples, query: SampleQuery) -> Vec<f64> {
    samples.query(query).await.unwrap().into_iter().map(|sample| sample.value).collect()
}

/// A sample comes out as it went in.
pub async fn what_was_recorded_is_found<H: SamplesHarness>(harness: &H) {
    let (samples, _clock) = open(harness, MANY).await;
    let job = Some(JobId::from_uuid(Uuid::from_u128(9)));
    let recorded = Sample { subject: Subject { job, ..subject() }, ..sample(START, -0.125) };
    samples.record(vec![recorded.clone()]).await.unwrap();
    assert_eq!(samples.query(query()).await.unwrap(), [recorded]);
}

/// What was not measured is absent, and no zero.
pub async fn no_data_is_no_zero<H: SamplesHarness>(harness: &H) {
    let (samples, _clock) = open(harness, MANY).await;
    assert_eq!(samples.query(query()).await.unwrap(), []);
    samples.record(Vec::new()).await.unwrap();
    assert_eq!(samples.query(query()).await.unwrap(), []);
}

/// A query gives what it asks for and nothing else.
pub async fn a_query_is_answered_exactly<H: SamplesHarness>(harness: &H) {
    let (samples, _clock) = open(harness, MANY).await;
    let apps = [APP, AppId::from_uuid(Uuid::from_u128(11))];
    let releases = [RELEASE, ReleaseId::from_uuid(Uuid::from_u128(12))];
    let processes = [process("web"), process("worker")];
    let mut recorded = Vec::new();
    for app in apps {
        for release in releases {
            for process in &processes {
                for measure in MEASURES {
                    let subject = Subject { app, process: process.clone(), release, job: None };
                    let at = START.before(MILLISECOND * (100 - recorded.len() as u32));
                    recorded.push(Sample { subject, measure, at, value: recorded.len() as f64 });
                }
            }
        }
    }
    samples.record(recorded.clone()).await.unwrap();
    for app in apps {
        for release in [None, Some(releases[0]), Some(releases[1])] {
            for process in [None, Some(&processes[0]), Some(&processes[1])] {
                for measure in MEASURES {
                    let query = SampleQuery { app, process: process.cloned(), release, measure, window: HOUR };
                    let expected = recorded.iter().filter(|Sample { subject, measure: of, .. }| {
                        subject.app == app
                            && *of == measure
                            && release.is_none_or(|release| subject.release == release)
                            && process.is_none_or(|process| subject.process == *process)
                    });
                    let expected: Vec<Sample> = expected.cloned().collect();
                    assert_eq!(samples.query(query.clone()).await.unwrap(), expected, "{query:?}");
                }
            }
        }
    }
}

/// Samples come in the order of their times, in whatever order and batches they were reported.
pub async fn samples_come_oldest_first<H: SamplesHarness>(harness: &H) {
    let (samples, _clock) = open(harness, MANY).await;
    for batch in [vec![5, 1, 9], vec![], vec![0, 10, 4], vec![7], vec![2, 3, 8, 6]] {
        let batch = batch.into_iter().map(|age: u32| sample(START.before(SECOND * age), f64::from(age)));
        samples.record(batch.collect()).await.unwrap();
    }
    let expected: Vec<f64> = (0..=10).rev().map(f64::from).collect();
    assert_eq!(values(&*samples, query()).await, expected);
}

/// A window reaches back from the present, to the millisecond.
pub async fn a_window_ends_at_the_present<H: SamplesHarness>(harness: &H) {
    let (samples, clock) = open(harness, MANY).await;
    let ages = [MINUTE + MILLISECOND, MINUTE, SECOND, Duration::ZERO];
    samples.record(ages.map(|age| sample(START.before(age), age.as_secs_f64())).into()).await.unwrap();
    let within = async |window| values(&*samples, SampleQuery { window, ..query() }).await;
    assert_eq!(within(MINUTE).await, [60.0, 1.0, 0.0]);
    assert_eq!(within(MINUTE + MILLISECOND).await.len(), 4);
    assert_eq!(within(Duration::ZERO).await, [0.0]);
    clock.advance(SECOND);
    assert_eq!(within(MINUTE).await, [1.0, 0.0]);
    assert_eq!(within(Duration::ZERO).await, [0.0; 0]);
}

/// What is older than what is kept is gone, however far a query reaches back.
pub async fn the_old_is_gone<H: SamplesHarness>(harness: &H) {
    let (samples, clock) = open(harness, MANY).await;
    let (old, kept) = (START.before(HOUR + MILLISECOND), START.before(HOUR));
    samples.record(vec![sample(old, 1.0), sample(kept, 2.0), sample(START, 3.0)]).await.unwrap();
    let far = SampleQuery { window: HOUR * 100, ..query() };
    assert_eq!(values(&*samples, far.clone()).await, [2.0, 3.0]);
    clock.advance(MILLISECOND);
    assert_eq!(values(&*samples, far.clone()).await, [3.0]);
    clock.advance(HOUR);
    assert_eq!(values(&*samples, far.clone()).await, [0.0; 0]);
    samples.record(vec![sample(clock.now(), 4.0)]).await.unwrap();
    assert_eq!(values(&*samples, far).await, [4.0]);
}

/// Of too many the oldest go, by their times and not by their arrival.
pub async fn of_too_many_the_oldest_go<H: SamplesHarness>(harness: &H) {
    let (samples, _clock) = open(harness, 5).await;
    for age in [3, 9, 1, 8, 2, 7, 4, 6, 5_u32] {
        samples.record(vec![sample(START.before(SECOND * age), f64::from(age))]).await.unwrap();
    }
    assert_eq!(values(&*samples, query()).await, [5.0, 4.0, 3.0, 2.0, 1.0]);
    let batch = (0..100_u32).map(|age| sample(START.before(SECOND * age), f64::from(age)));
    samples.record(batch.rev().collect()).await.unwrap();
    assert_eq!(values(&*samples, query()).await, [2.0, 2.0, 1.0, 1.0, 0.0]);
}

/// An app that reports much takes nothing from another.
pub async fn apps_do_not_displace_each_other<H: SamplesHarness>(harness: &H) {
    let (samples, _clock) = open(harness, 5).await;
    samples.record(vec![sample(START.before(MINUTE), 1.0)]).await.unwrap();
    let loud = AppId::from_uuid(Uuid::from_u128(77));
    let noise = Sample { subject: Subject { app: loud, ..subject() }, ..sample(START, 2.0) };
    samples.record(vec![noise; 50]).await.unwrap();
    assert_eq!(values(&*samples, query()).await, [1.0]);
    assert_eq!(values(&*samples, SampleQuery { app: loud, ..query() }).await, [2.0; 5]);
}

/// Makes one test of each case of the suite for samples. The argument is an expression that makes a
/// [`SamplesHarness`]; the crate that uses it needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! samples_conformance {
    ($harness:expr) => {
        $crate::samples_conformance!($harness; [
            what_was_recorded_is_found, no_data_is_no_zero, a_query_is_answered_exactly, samples_come_oldest_first,
            a_window_ends_at_the_present, the_old_is_gone, of_too_many_the_oldest_go, apps_do_not_displace_each_other
        ]);
    };
    ($harness:expr; [$($case:ident),* $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::samples::$case(&$harness).await;
            }
        )*
    };
}
