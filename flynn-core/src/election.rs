//! Leadership: one holder a seat at a time, told apart by epochs.

use std::fmt;
use std::time::Duration;

use crate::noun::DeploymentId;
use crate::time::Timestamp;

/// What there can be one leader of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Seat {
    /// The controller loop of the cluster.
    Controller,
    /// The driver of one deployment.
    Deployment(DeploymentId),
}

/// The number of a term of office. Each taking of a seat has a higher one than all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A seat taken for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it, in its own words.
    pub holder: String,
    /// Its term of office.
    pub epoch: Epoch,
    /// Until then nobody else gets the seat, by the store's clock.
    pub until: Timestamp,
}

/// The answer to a [`contest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Campaign {
    /// The seat is the caller's.
    Won(Lease),
    /// Somebody else holds it.
    Held(Lease),
}

/// The longest term of office.
pub const LONGEST_TERM: Duration = Duration::from_secs(3_600);

/// What follows when `holder` asks for a seat whose last lease is `last`.
///
/// A term is cut to [`LONGEST_TERM`]; a lease that runs longer than that from `now` was given by a clock that was
/// wrong, and is over. The holder of a running lease renews it in the same epoch; anybody gets a seat whose lease has run
/// out, in the next epoch. A holder whose own lease ran out also gets a higher epoch: others may have
/// acted in between.
pub fn contest(last: Option<&Lease>, holder: &str, term: Duration, now: Timestamp) -> Campaign {
    let lease = |epoch| Lease { holder: holder.to_owned(), epoch, until: now + term.min(LONGEST_TERM) };
    match last {
        None => Campaign::Won(lease(Epoch(1))),
        Some(last) if last.until <= now || last.until > now + LONGEST_TERM => {
            Campaign::Won(lease(Epoch(last.epoch.0 + 1)))
        }
        Some(last) if last.holder == holder => Campaign::Won(lease(last.epoch)),
        Some(last) => Campaign::Held(last.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_millis(10);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn won(campaign: Campaign) -> Lease {
        match campaign {
            Campaign::Won(lease) => lease,
            Campaign::Held(lease) => panic!("held by {}", lease.holder),
        }
    }

    #[test]
    fn a_seat_changes_hands_only_after_its_lease_and_always_with_a_higher_epoch() {
        let first = won(contest(None, "a", TERM, at(0)));
        assert_eq!((first.epoch, first.until), (Epoch(1), at(10)));
        assert_eq!(contest(Some(&first), "b", TERM, at(9)), Campaign::Held(first.clone()));
        let renewed = won(contest(Some(&first), "a", TERM, at(9)));
        assert_eq!((renewed.epoch, renewed.until), (Epoch(1), at(19)));
        let second = won(contest(Some(&renewed), "b", TERM, at(19)));
        assert_eq!(second.epoch, Epoch(2));
        assert_eq!(won(contest(Some(&second), "b", TERM, at(29))).epoch, Epoch(3));
    }

    #[test]
    fn a_clock_that_was_far_ahead_for_a_moment_does_not_block_the_seat() {
        let century = Duration::from_secs(100 * 365 * 86_400);
        let wrong = won(contest(None, "a", TERM, at(0) + century));
        let right = won(contest(Some(&wrong), "b", TERM, at(1)));
        assert_eq!((right.epoch, right.until), (Epoch(2), at(11)));
        assert_eq!(won(contest(None, "a", century, at(0))).until, at(0) + LONGEST_TERM);
    }
}
