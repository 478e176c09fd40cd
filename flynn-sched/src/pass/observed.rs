use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use flynn_core::port::{Member, Seen};
use flynn_core::{Revision, Timestamp};

/// What the controller knows beside the store's objects. All of it may be lost: then waiting begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Nodes and routers as they were seen last.
    pub seen: BTreeMap<Member, Seen>,
    /// Since when presence has been watched without a gap. Absence counts from here at the earliest.
    pub watching_since: Timestamp,
    /// When revisions were committed, as far as it is remembered.
    pub marks: Marks,
}

impl Observed {
    /// Nobody seen, watching since `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { watching_since: now, ..Self::default() }
    }

    /// Takes over what a presence says.
    pub fn see(&mut self, seen: impl IntoIterator<Item = Seen>) {
        self.seen = seen.into_iter().map(|seen| (seen.member, seen)).collect();
    }

    /// Whether the lease of `member` runs at `now`.
    pub fn is_present(&self, member: Member, now: Timestamp) -> bool {
        self.seen.get(&member).is_some_and(|seen| seen.until > now)
    }
}

/// Points in time at which the store was known to be at some revision, for the recent past.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks(VecDeque<(Revision, Timestamp)>);

impl Marks {
    /// Marks closer than this are not both kept; it is how late a time of [`Self::at`] can be.
    const SPACING: Duration = Duration::from_millis(100);

    /// Notes that `revision` was there at `now`, and forgets what is older than `span`.
    pub fn note(&mut self, revision: Revision, now: Timestamp, span: Duration) {
        let is_news = self.0.back().is_none_or(|(last, at)| *last < revision && now.since(*at) >= Self::SPACING);
        if is_news {
            self.0.push_back((revision, now));
        }
        while self.0.get(1).is_some_and(|(_, second)| now.since(*second) > span) {
            self.0.pop_front();
        }
    }

    /// A time not before `revision` was committed, and not long after; none if no mark is that recent.
    pub fn at(&self, revision: Revision) -> Option<Timestamp> {
        self.0.iter().find(|(mark, _)| *mark >= revision).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_give_a_time_at_or_after_the_commit_and_stay_few() {
        let mut marks = Marks::default();
        let at = Timestamp::from_millis;
        for step in 0..10_000 {
            marks.note(Revision::new(step), at(step * 10), Duration::from_secs(2));
        }
        assert!(marks.0.len() <= 22, "{}", marks.0.len());
        assert_eq!(marks.at(Revision::new(9_991)), None);
        let time = marks.at(Revision::new(9_985)).unwrap();
        assert!(time >= at(99_850) && time.since(at(99_850)) <= Marks::SPACING, "{time:?}");
    }
}
