use std::collections::BTreeMap;

use flynn_core::JobId;
use flynn_core::noun::Health;
use tokio::task::{AbortHandle, JoinSet};

use super::driver::Done;
use super::operation::chain;
use super::pass::Watch;
use crate::health::Prober;

/// The probes under way. Their tasks are the driver's.
#[derive(Default)]
pub(super) struct Watches {
    all: BTreeMap<JobId, Watching>,
    begun: u64,
}

struct Watching {
    watch: Watch,
    /// Which of all watches that were begun it is: what an earlier one of the same job has found may still come.
    number: u64,
    /// None when the first pass was enough.
    task: Option<AbortHandle>,
}

/// A change of health.
pub(super) struct Change {
    pub(super) job: JobId,
    pub(super) health: Health,
    /// Why it is unhealthy.
    pub(super) failure: Option<String>,
    prober: Prober,
    number: u64,
}

impl Watches {
    /// Probes what is wanted, and nothing else.
    pub(super) fn follow(&mut self, wanted: &BTreeMap<JobId, Watch>, tasks: &mut JoinSet<Done>) {
        self.all.retain(|job, watching| {
            let same =
                |wanted: &Watch| (wanted.address, &wanted.check) == (watching.watch.address, &watching.watch.check);
            let stays = wanted.get(job).is_some_and(same);
            if let (false, Some(task)) = (stays, &watching.task) {
                task.abort();
            }
            stays
        });
        for (job, watch) in wanted {
            self.all.entry(*job).or_insert_with(|| {
                self.begun += 1;
                let prober = Prober::resume(watch.address, watch.check.clone(), watch.known);
                let task = Some(ask(*job, prober, self.begun, tasks));
                Watching { watch: watch.clone(), number: self.begun, task }
            });
        }
    }

    /// Takes a change, unless nobody asks for it any more, and goes on asking.
    pub(super) fn take(&mut self, change: Change, tasks: &mut JoinSet<Done>) -> Option<(Health, Option<String>)> {
        let watching = self.all.get_mut(&change.job).filter(|watching| watching.number == change.number)?;
        watching.task = (!watching.watch.once).then(|| ask(change.job, change.prober, change.number, tasks));
        Some((change.health, change.failure))
    }
}

fn ask(job: JobId, mut prober: Prober, number: u64, tasks: &mut JoinSet<Done>) -> AbortHandle {
    tasks.spawn(async move {
        let health = prober.changed().await;
        let failure = prober.failure().map(|failure| chain(failure));
        Done::Health(Change { job, health, failure, prober, number })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test")]

    use std::time::Duration;

    use flynn_core::noun::{HealthCheck, Probe};
    use flynn_core::{Ids, Timestamp};

    use super::*;

    #[tokio::test]
    async fn what_a_watch_that_was_given_up_has_found_is_not_taken() {
        let job: JobId = Ids::seeded(1).next(Timestamp::EPOCH);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (interval, timeout) = (Duration::from_millis(10), Duration::from_secs(20));
        let watch = |threshold| Watch {
            address: listener.local_addr().unwrap(),
            check: HealthCheck { probe: Probe::Tcp, interval, timeout, threshold },
            once: false,
            known: None,
        };
        let (mut watches, mut tasks) = (Watches::default(), JoinSet::new());
        watches.follow(&[(job, watch(1))].into(), &mut tasks);
        let Some(Ok(Done::Health(change))) = tasks.join_next().await else { panic!("no change") };
        // It comes while another has taken its place.
        watches.follow(&[(job, watch(2))].into(), &mut tasks);
        assert_eq!(watches.take(change, &mut tasks), None);
        assert_eq!(tasks.len(), 1, "the successor asks alone");
        let Some(Ok(Done::Health(change))) = tasks.join_next().await else { panic!("no change") };
        assert_eq!(watches.take(change, &mut tasks), Some((Health::Healthy, None)));
        assert_eq!(tasks.len(), 1);
    }
}
