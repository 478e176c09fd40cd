use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::noun::AppId;
use crate::port::{Sample, SampleQuery, Samples};
use crate::time::{Clock, SystemClock};

/// Samples in memory: a bounded number for each app, for a bounded time.
#[derive(Debug)]
pub struct MemorySamples {
    clock: Arc<dyn Clock>,
    per_app: usize,
    age: Duration,
    apps: Mutex<BTreeMap<AppId, VecDeque<Sample>>>,
}

impl Default for MemorySamples {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock), 20_000, Duration::from_secs(3_600))
    }
}

impl MemorySamples {
    /// No samples. At most `per_app` are kept for an app, and none older than `age`.
    pub fn new(clock: Arc<dyn Clock>, per_app: usize, age: Duration) -> Self {
        Self { clock, per_app, age, apps: Mutex::default() }
    }
}

#[async_trait]
impl Samples for MemorySamples {
    async fn record(&self, samples: Vec<Sample>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let oldest = now.before(self.age);
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        for mut sample in samples.into_iter().filter(|sample| sample.at >= oldest && sample.value.is_finite()) {
            // A clock ahead of ours must not keep its samples for ever.
            sample.at = sample.at.min(now);
            let series = apps.entry(sample.subject.app).or_default();
            // Reporters' clocks differ a little, so a sample may belong before the last ones.
            let place = series.iter().rposition(|other| other.at <= sample.at).map_or(0, |place| place + 1);
            series.insert(place, sample);
            if series.len() > self.per_app {
                series.pop_front();
            }
        }
        apps.retain(|_, series| {
            while series.front().is_some_and(|first| first.at < oldest) {
                series.pop_front();
            }
            !series.is_empty()
        });
        Ok(())
    }

    async fn query(&self, query: SampleQuery) -> Result<Vec<Sample>, StoreError> {
        let oldest = self.clock.now().before(query.window.min(self.age));
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let matches = |sample: &&Sample| {
            sample.at >= oldest
                && sample.measure == query.measure
                && query.process.as_ref().is_none_or(|process| *process == sample.subject.process)
                && query.release.is_none_or(|release| release == sample.subject.release)
        };
        Ok(apps.get(&query.app).into_iter().flatten().filter(matches).cloned().collect())
    }
}
