use std::cmp::Reverse;
use std::fmt;

use super::{DiskUse, Size, Space};
use crate::noun::Scale;

/// Somebody who writes, such as a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer<I> {
    /// Who.
    pub id: I,
    /// What it may take, in bytes; zero is no limit.
    pub limit: u64,
    /// What it takes.
    pub used: DiskUse,
}

/// More was written than is granted. It reads like `disk limit of 1 GiB exceeded (1.2 GiB used)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct OverLimit {
    /// What is granted, in bytes.
    pub limit: u64,
    /// What was written.
    pub used: DiskUse,
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, used) = (Size(self.limit), Size(self.used.bytes));
        match self.used.is_cut {
            false => write!(f, "disk limit of {limit} exceeded ({used} used)"),
            true => write!(
                f,
                "disk limit of {limit} exceeded (more than {used} used: {} files were counted, and others are too many \
                 or too deep in directories)",
                self.used.entries
            ),
        }
    }
}

impl OverLimit {
    /// What was passed, if `used` is more than `limit` bytes, or more than can be counted. A limit of zero is none.
    pub fn of(limit: u64, used: DiskUse) -> Option<Self> {
        (limit > 0 && (used.bytes > limit || used.is_cut)).then_some(Self { limit, used })
    }
}

/// Who is to be stopped, those who are over their limit by most first.
///
/// That is everybody over a limit. If there is nobody and less than `reserve` bytes of the disk are left, it is the one
/// without a limit who takes most, if that is more than is granted where nobody says anything
/// ([`Scale::RESOURCES`]).
pub fn to_stop<I: Copy + Ord>(writers: &[Writer<I>], space: Option<Space>, reserve: u64) -> Vec<(I, OverLimit)> {
    let mut over: Vec<_> =
        writers.iter().filter_map(|writer| Some((writer.id, OverLimit::of(writer.limit, writer.used)?))).collect();
    over.sort_by_key(|(id, over)| (Reverse((over.used.is_cut, over.used.bytes.saturating_sub(over.limit))), *id));
    if over.is_empty() && space.is_some_and(|space| space.shortage(reserve).is_some()) {
        let unlimited = writers.iter().filter(|writer| writer.limit == 0);
        let worst = unlimited.max_by_key(|writer| (writer.used.is_cut, writer.used.bytes, Reverse(writer.id)));
        over.extend(worst.and_then(|worst| Some((worst.id, OverLimit::of(Scale::RESOURCES.disk_bytes, worst.used)?))));
    }
    over
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    const FULL: Space = Space { total: 100 << 30, free: 0, files: None };

    fn writer(id: u32, limit: u64, bytes: u64) -> Writer<u32> {
        Writer { id, limit, used: DiskUse { bytes, entries: 1, is_cut: false } }
    }

    fn stopped(writers: &[Writer<u32>], space: Option<Space>) -> Vec<u32> {
        to_stop(writers, space, MIB).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn the_worst_goes_first() {
        let writers = [writer(1, 10, 10), writer(2, 10, 20), writer(3, 100, 300), writer(4, 0, 1 << 50)];
        assert_eq!(stopped(&writers, None), [3, 2]);
        let mut uncountable = writer(5, 1 << 40, 1);
        uncountable.used.is_cut = true;
        assert_eq!(stopped(&[writers[2], uncountable], None), [5, 3]);
    }

    #[test]
    fn without_a_limit_only_the_largest_goes_and_only_from_a_full_disk() {
        let grants = Scale::RESOURCES.disk_bytes;
        let writers = [writer(1, 0, grants + 1), writer(2, 0, grants + 2), writer(3, 10, 10)];
        assert!(stopped(&writers, None).is_empty());
        assert!(stopped(&writers, Some(Space { free: MIB, ..FULL })).is_empty());
        assert_eq!(stopped(&writers, Some(FULL)), [2]);
        assert!(stopped(&[writer(1, 0, grants)], Some(FULL)).is_empty());
    }

    #[test]
    fn it_says_how_much_of_what() {
        let used = DiskUse { bytes: 70 * MIB, entries: 3, is_cut: false };
        let text = |used| OverLimit::of(64 * MIB, used).map(|over| over.to_string());
        assert_eq!(text(used).as_deref(), Some("disk limit of 64 MiB exceeded (70 MiB used)"));
        assert!(text(DiskUse { is_cut: true, ..used }).is_some_and(|text| text.contains("3 files were counted")));
        assert_eq!(text(DiskUse { bytes: 64 * MIB, ..used }), None);
    }

    proptest! {
        #[test]
        fn who_keeps_to_a_limit_is_never_stopped(
            all in prop::collection::vec((0_u64..50, 0_u64..60, any::<bool>()), 0..8),
            free in 0_u64..2 * MIB,
        ) {
            let writers: Vec<_> = (0..).zip(all).map(|(id, (limit, bytes, is_cut))| {
                Writer { id, limit, used: DiskUse { bytes, entries: 1, is_cut } }
            }).collect();
            let stopped = to_stop(&writers, Some(Space { free, ..FULL }), MIB);
            let is_over = |writer: &Writer<u32>| writer.limit > 0 && (writer.used.bytes > writer.limit || writer.used.is_cut);
            for writer in &writers {
                let is_stopped = stopped.iter().any(|(id, _)| *id == writer.id);
                prop_assert!(!is_over(writer) || is_stopped);
                prop_assert!(!is_stopped || is_over(writer) || writer.limit == 0);
            }
            let excess: Vec<_> = stopped.iter().map(|(_, over)| (over.used.is_cut, over.used.bytes.saturating_sub(over.limit))).collect();
            prop_assert!(excess.is_sorted_by(|one, next| one >= next));
        }
    }
}
