//! When what failed is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use flynn_core::noun::ObjectId;
use tokio::time::Instant;

use super::commit::{Refused, Report};

/// The first wait after something that concerns no single job failed.
const FIRST: Duration = Duration::from_millis(50);

/// Waits that double until something succeeds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    next: Duration,
    longest: Duration,
}

impl Retry {
    pub(super) fn new(longest: Duration) -> Self {
        Self { next: FIRST.min(longest), longest }
    }

    /// How long to wait after one more failure.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = self.longest.min(wait * 2);
        wait
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::new(self.longest);
    }
}

/// The reports that the store refused. Each waits by itself; one that says something else does not.
pub(super) struct Refusals {
    longest: Duration,
    held: BTreeMap<ObjectId, Held>,
}

struct Held {
    report: Report,
    retry: Retry,
    until: Instant,
    is_logged: bool,
}

impl Refusals {
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, held: BTreeMap::new() }
    }

    /// Leaves those that are due of all reports a pass decided on, and forgets refusals of others. Answers when
    /// the next will be due.
    pub(super) fn hold_back(&mut self, reports: &mut Vec<Report>, now: Instant) -> Option<Instant> {
        let mut still = BTreeMap::new();
        reports.retain(|report| {
            let held = self.held.remove(&report.subject()).filter(|held| held.report.repeats(report));
            let is_due = held.as_ref().is_none_or(|held| held.until <= now);
            still.extend(held.map(|held| (report.subject(), held)));
            is_due
        });
        self.held = still;
        self.held.values().map(|held| held.until).filter(|until| *until > now).min()
    }

    /// Notes a refusal, and logs it once. That somebody else was first is worth a word only if it lasts.
    pub(super) fn note(&mut self, refused: Refused, now: Instant) {
        let Refused { report, is_stale, problem } = refused;
        let before = self.held.remove(&report.subject()).filter(|held| held.report.repeats(&report));
        let is_new = before.is_none();
        let (mut retry, was_logged) =
            before.map_or((Retry::new(self.longest), false), |held| (held.retry, held.is_logged));
        let is_logged = was_logged || !is_stale || !is_new;
        let subject = report.subject();
        if is_logged && !was_logged {
            tracing::warn!(%subject, problem, "agent: a report was refused, and is repeated more and more rarely");
        }
        self.held.insert(subject, Held { report, until: now + retry.failed(), retry, is_logged });
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::noun::NodeStatus;
    use flynn_core::{Ids, NodeId, Revision, Timestamp};

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut retry = Retry::new(Duration::from_millis(150));
        let waits: Vec<_> = (0..4).map(|_| retry.failed().as_millis()).collect();
        assert_eq!(waits, [50, 100, 150, 150]);
        retry.succeeded();
        assert_eq!(retry.failed().as_millis(), 50);
    }

    #[test]
    fn a_refused_report_waits_alone_and_longer_each_time() {
        let mut ids = Ids::seeded(1);
        let (first, second): (NodeId, NodeId) = (ids.next(Timestamp::EPOCH), ids.next(Timestamp::EPOCH));
        let report = |id, version: u64| Report::Node(id, Revision::new(version), NodeStatus::default());
        let mut refusals = Refusals::new(Duration::from_secs(5));
        let mut now = Instant::now();
        for wait in [50, 100, 200] {
            let wait = Duration::from_millis(wait);
            let refused = Refused { report: report(first, 1), is_stale: true, problem: "conflict".to_owned() };
            refusals.note(refused, now);
            let mut reports = vec![report(first, 1), report(second, 1)];
            assert_eq!(refusals.hold_back(&mut reports, now), Some(now + wait));
            assert_eq!(reports.iter().map(Report::subject).collect::<Vec<_>>(), [second.into()]);
            now += wait;
            let mut reports = vec![report(first, 1), report(second, 1)];
            assert_eq!(refusals.hold_back(&mut reports, now), None);
            assert_eq!(reports.len(), 2);
        }
        // What was read anew is another report.
        let refused = Refused { report: report(first, 1), is_stale: true, problem: "conflict".to_owned() };
        refusals.note(refused, now);
        let mut reports = vec![report(first, 2)];
        assert_eq!(refusals.hold_back(&mut reports, now), None);
        assert_eq!(reports.len(), 1);
    }
}
