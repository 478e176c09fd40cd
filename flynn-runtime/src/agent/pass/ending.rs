use std::time::Duration;

use flynn_core::port::Signal;

/// Why a running job is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It was told to.
    Told,
    /// Whoever was at its terminal hung up.
    HungUp,
    /// It wrote more than it may, and would go on.
    Over,
}

/// A closed terminal comes first, and for so long nothing else.
const HANG_UP: Duration = Duration::from_secs(2);

/// The signal that is due so long after an end began, and how long after its beginning the next one is.
pub(super) fn due(way: Way, stop_timeout: Duration, passed: Duration) -> (Signal, Option<Duration>) {
    let steps: &[(Duration, Signal)] = match way {
        Way::Told => &[(Duration::ZERO, Signal::Term), (stop_timeout, Signal::Kill)],
        Way::Over => &[(Duration::ZERO, Signal::Kill)],
        Way::HungUp => {
            &[(Duration::ZERO, Signal::Hup), (HANG_UP, Signal::Term), (HANG_UP + stop_timeout, Signal::Kill)]
        }
    };
    let next = steps.iter().position(|(after, _)| passed < *after).unwrap_or(steps.len());
    (steps[next.max(1) - 1].1, steps.get(next).map(|(after, _)| *after))
}

/// Whether `sent` asks for less than `due`.
pub(super) fn is_gentler(sent: Signal, due: Signal) -> bool {
    let rank = |signal| match signal {
        Signal::Kill => 2,
        Signal::Term => 1,
        _ => 0,
    };
    rank(sent) < rank(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_follow_each_other_at_their_times() {
        let stop = Duration::from_secs(10);
        for (way, passed, expected, next) in [
            (Way::Told, 0, Signal::Term, Some(10)),
            (Way::Told, 9, Signal::Term, Some(10)),
            (Way::Told, 10, Signal::Kill, None),
            (Way::HungUp, 0, Signal::Hup, Some(2)),
            (Way::HungUp, 2, Signal::Term, Some(12)),
            (Way::HungUp, 30, Signal::Kill, None),
        ] {
            let found = due(way, stop, Duration::from_secs(passed));
            assert_eq!(found, (expected, next.map(Duration::from_secs)), "{way:?} {passed}");
        }
        assert_eq!(due(Way::Over, stop, Duration::ZERO), (Signal::Kill, None));
        assert_eq!(due(Way::Told, Duration::ZERO, Duration::ZERO), (Signal::Kill, None));
    }
}
