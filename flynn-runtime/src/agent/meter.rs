//! Measures what jobs have written, again and again, at a bounded cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flynn_core::JobId;
use flynn_core::disk::{OverLimit, Shortage, Space, Writer, to_stop};
use tokio::time::Instant;

use super::operation::chain;
use super::workplace::Workplace;

/// Measuring a job that writes many files takes at most this part of the time.
const SHARE: u32 = 10;
/// The time between two looks when the disk is short of space.
const OFTEN: Duration = Duration::from_secs(1);

/// Who was measured when, and what was found.
#[derive(Debug)]
pub(super) struct Meter {
    every: Duration,
    /// None while a round is under way.
    next: Option<Instant>,
    jobs: BTreeMap<JobId, Measured>,
    shortage: Option<Shortage>,
    /// Those that could not be measured last time, each of which is logged once.
    failing: BTreeSet<JobId>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    writer: Writer<JobId>,
    due: Instant,
}

/// What one round has found.
pub(super) struct Round {
    found: Vec<(Writer<JobId>, Duration)>,
    failed: Vec<(JobId, String)>,
    space: Option<Space>,
}

impl Meter {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, next: Some(Instant::now()), jobs: BTreeMap::new(), shortage: None, failing: BTreeSet::new() }
    }

    /// When the next round is due; none while one is under way.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Begins a round of these running jobs, each with its disk limit in bytes, if one is due. The future is to be
    /// awaited and its outcome taken.
    pub(super) fn begin(
        &mut self,
        running: BTreeMap<JobId, u64>,
        workplace: &Arc<dyn Workplace>,
        now: Instant,
    ) -> Option<impl Future<Output = Round> + use<>> {
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        self.next = None;
        self.jobs.retain(|job, _| running.contains_key(job));
        self.failing.retain(|job| running.contains_key(job));
        // Who has no limit is of interest when somebody has to go.
        let due = running.into_iter().filter(|(job, limit)| {
            let counts = *limit > 0 || self.shortage.is_some();
            counts && self.jobs.get(job).is_none_or(|measured| measured.due <= now)
        });
        let (due, workplace) = (due.collect(), workplace.clone());
        Some(round(due, workplace))
    }

    /// Takes what a round found. Answers who is to be stopped and why, with `reserve` bytes of the disk to be kept free.
    pub(super) fn take(&mut self, round: Round, reserve: u64, now: Instant) -> Vec<(JobId, OverLimit)> {
        let Round { found, failed, space } = round;
        self.shortage = space.and_then(|space| space.shortage(reserve));
        let every = if self.shortage.is_some() { OFTEN.min(self.every) } else { self.every };
        self.next = Some(now + every);
        for (writer, took) in found {
            self.failing.remove(&writer.id);
            self.jobs.insert(writer.id, Measured { writer, due: now + every.max(took * SHARE) });
        }
        for (job, problem) in failed {
            if self.failing.insert(job) {
                tracing::warn!(%job, problem, "agent: it cannot be measured what a job wrote");
            }
        }
        let writers: Vec<_> = self.jobs.values().map(|measured| measured.writer).collect();
        to_stop(&writers, space, reserve)
    }
}

async fn round(due: Vec<(JobId, u64)>, workplace: Arc<dyn Workplace>) -> Round {
    let mut round = Round { found: Vec::new(), failed: Vec::new(), space: None };
    for (job, limit) in due {
        let began = Instant::now();
        let mut measured = workplace.written(job).await;
        // A file that was moved meanwhile may have been counted twice, but hardly at both times.
        if let Ok(Some(first)) = measured
            && OverLimit::of(limit, first).is_some()
        {
            measured = workplace.written(job).await.map(|second| match second {
                Some(second) if second.bytes < first.bytes => Some(second),
                _ => Some(first),
            });
        }
        match measured {
            Ok(Some(used)) => round.found.push((Writer { id: job, limit, used }, began.elapsed())),
            Ok(None) => {}
            Err(error) => round.failed.push((job, chain(&error))),
        }
    }
    round.space = workplace.space().await.unwrap_or_else(|error| {
        tracing::warn!(problem = chain(&error), "agent: it is not known how much of the disk is left");
        None
    });
    round
}
