//! What every [`Presence`] must do.
//!
//! [`presence_conformance!`](crate::presence_conformance) makes a test of each case.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use uuid::Uuid;

use super::ManualClock;
use crate::noun::{NodeId, RouterId};
use crate::port::{Beat, Member, Presence, Seen};
use crate::revision::Revision;
use crate::time::{Clock, Timestamp};

/// Makes what the suite is run against.
#[async_trait]
pub trait PresenceHarness: Send + Sync {
    /// The implementation under test.
    type Presence: Presence + 'static;

    /// One in which nobody is present and that goes by `clock`.
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<Self::Presence>;
}

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LEASE: Duration = Duration::from_secs(15);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const MILLISECOND: Duration = Duration::from_millis(1);

async fn open<H: PresenceHarness>(harness: &H) -> (Arc<H::Presence>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START));
    (harness.open(clock.clone()).await, clock)
}

fn node(number: u128) -> Member {
    Member::Node(NodeId::from_uuid(Uuid::from_u128(number)))
}

fn router(number: u128) -> Member {
    Member::Router(RouterId::from_uuid(Uuid::from_u128(number)))
}

fn beat(incarnation: &str, acknowledged: u64) -> Beat {
    Beat { incarnation: incarnation.into(), acknowledged: Revision::new(acknowledged) }
}

async fn seen(presence: &impl Presence) -> Vec<Seen> {
    let mut seen = presence.seen().await.unwrap();
    seen.sort_by_key(|seen| seen.member);
    seen
}

/// A member is seen with what it said, when it said it, and until when that holds.
pub async fn a_beat_is_seen<H: PresenceHarness>(harness: &H) {
    let (presence, clock) = open(harness).await;
    assert_eq!(seen(&*presence).await, []);
    presence.beat(node(1), beat("a", 7), LEASE).await.unwrap();
    clock.advance(Duration::from_millis(1_234));
    let expected = Seen { member: node(1), beat: beat("a", 7), at: START, until: START + LEASE };
    assert_eq!(seen(&*presence).await, [expected]);
}

/// Only the last beat counts, whatever it says: also a shorter lease or an earlier revision.
pub async fn each_beat_replaces_the_one_before<H: PresenceHarness>(harness: &H) {
    let (presence, clock) = open(harness).await;
    presence.beat(router(1), beat("a", 7), LEASE).await.unwrap();
    clock.advance(MILLISECOND);
    presence.beat(router(1), beat("b", 3), LEASE / 3).await.unwrap();
    let at = START + MILLISECOND;
    assert_eq!(seen(&*presence).await, [Seen { member: router(1), beat: beat("b", 3), at, until: at + LEASE / 3 }]);
}

/// Members do not share anything, not even a node and a router whose ids have the same bits.
pub async fn members_are_told_apart<H: PresenceHarness>(harness: &H) {
    let (presence, clock) = open(harness).await;
    let members = [node(1), node(2), router(1), router(2)];
    for (number, member) in (1..).zip(members) {
        presence.beat(member, beat("a", number), LEASE * number as u32).await.unwrap();
        clock.advance(MILLISECOND);
    }
    let expected = (1..).zip(members).map(|(number, member)| {
        let at = START + MILLISECOND * (number as u32 - 1);
        Seen { member, beat: beat("a", number), at, until: at + LEASE * number as u32 }
    });
    assert_eq!(seen(&*presence).await, expected.collect::<Vec<_>>());
}

/// Who is absent is still known, for the length of a day after its lease, and no longer.
pub async fn the_absent_are_remembered_for_a_day<H: PresenceHarness>(harness: &H) {
    let (presence, clock) = open(harness).await;
    presence.beat(node(1), beat("a", 1), LEASE).await.unwrap();
    for moment in [LEASE + MILLISECOND, DAY, LEASE + DAY - MILLISECOND] {
        clock.set(START + moment);
        let seen = seen(&*presence).await;
        assert_eq!(seen.len(), 1, "after {moment:?}");
        assert_eq!((seen[0].at, seen[0].until), (START, START + LEASE), "a look is no beat");
    }
    clock.set(START + LEASE + DAY + MILLISECOND);
    assert_eq!(seen(&*presence).await, []);
}

/// A beat forgets nobody before the time.
pub async fn a_beat_leaves_the_others_alone<H: PresenceHarness>(harness: &H) {
    let (presence, clock) = open(harness).await;
    presence.beat(node(1), beat("a", 1), LEASE).await.unwrap();
    presence.beat(node(2), beat("a", 1), LEASE * 2).await.unwrap();
    let members = async || seen(&*presence).await.into_iter().map(|seen| seen.member).collect::<Vec<_>>();
    clock.set(START + (LEASE + DAY - MILLISECOND));
    presence.beat(node(3), beat("a", 1), LEASE).await.unwrap();
    assert_eq!(members().await, [node(1), node(2), node(3)]);
    clock.set(START + LEASE + DAY + MILLISECOND);
    presence.beat(node(3), beat("a", 1), LEASE).await.unwrap();
    assert_eq!(members().await, [node(2), node(3)]);
}

/// A member that was absent, or forgotten, is back with its next beat.
pub async fn the_absent_come_back<H: PresenceHarness>(harness: &H) {
    let (presence, clock) = open(harness).await;
    for absence in [LEASE * 2, DAY * 3] {
        presence.beat(node(1), beat("a", 1), LEASE).await.unwrap();
        clock.advance(absence);
        let now = clock.now();
        presence.beat(node(1), beat("b", 2), LEASE).await.unwrap();
        let back = Seen { member: node(1), beat: beat("b", 2), at: now, until: now + LEASE };
        assert_eq!(seen(&*presence).await, [back]);
    }
}

/// Of beats at the same time none is lost.
pub async fn racing_beats_are_all_seen<H: PresenceHarness>(harness: &H) {
    let (presence, _clock) = open(harness).await;
    let beats = (0..64).map(|number| {
        let presence = presence.clone();
        tokio::spawn(async move { presence.beat(node(number), beat("a", 1), LEASE).await })
    });
    for beat in join_all(beats).await {
        beat.unwrap().unwrap();
    }
    let members: Vec<_> = seen(&*presence).await.into_iter().map(|seen| seen.member).collect();
    assert_eq!(members, (0..64).map(node).collect::<Vec<_>>());
}

/// Makes one test of each case of the suite for presence. The argument is an expression that makes a
/// [`PresenceHarness`]; the crate that uses it needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! presence_conformance {
    ($harness:expr) => {
        $crate::presence_conformance!($harness; [
            a_beat_is_seen, each_beat_replaces_the_one_before, members_are_told_apart,
            the_absent_are_remembered_for_a_day, a_beat_leaves_the_others_alone, the_absent_come_back,
            racing_beats_are_all_seen
        ]);
    };
    ($harness:expr; [$($case:ident),* $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::presence::$case(&$harness).await;
            }
        )*
    };
}
