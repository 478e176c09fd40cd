//! Every commit arrives once, in order, without gaps.

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;

use crate::change::{Batch, Change};
use crate::conformance::world::{app, is_idle, process, read_to, release};
use crate::conformance::{StoreHarness, World};
use crate::id::Ids;
use crate::noun::{AppId, ProcessType, Release, ReleaseId};
use crate::port::{Event, EventLog, Store, TailError};
use crate::retention::Retention;
use crate::revision::Revision;
use crate::rule::Principal;
use crate::scope::Scope;
use crate::time::Clock;

/// Eight writers at once; readers that begin before, during and after all see the same commits.
pub async fn concurrent_writers_make_one_order_without_gaps<H: StoreHarness>(harness: &H) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 25;
    let world = World::new(harness).await;
    let start = world.store.snapshot(Scope::All).await.unwrap().revision;
    let end = Revision::new(start.get() + WRITERS * EACH);
    let reader = |after| {
        let mut tail = world.store.tail(Scope::All, after);
        tokio::spawn(async move { read_to(&mut tail, after, end).await.unwrap() })
    };
    let early = reader(Revision::ZERO);
    let from_start = reader(start);
    let writers = (0..WRITERS).map(|writer| {
        let (store, team, now) = (world.store.clone(), world.team, world.clock.now());
        tokio::spawn(async move {
            let mut ids = Ids::seeded(1_000 + writer);
            let mut revisions = Vec::new();
            for number in 0..EACH {
                let id: AppId = ids.next(now);
                let change = Change::create(id, team, app(&format!("w{writer}-{number}")));
                let committed = store.commit(Batch::new(Principal::System).with(change)).await.unwrap();
                revisions.push((committed.revision, id));
            }
            revisions
        })
    });
    let mut acknowledged: Vec<_> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    acknowledged.sort();
    let late = reader(start).await.unwrap();
    let seen = from_start.await.unwrap();
    assert_eq!(late, seen);
    assert!(early.await.unwrap().ends_with(&seen));
    let seen: Vec<_> = seen
        .iter()
        .map(|commit| match commit.events.as_slice() {
            [Event::Put(object)] => (commit.revision, object.id()),
            other => panic!("one event a commit, got {other:?}"),
        })
        .collect();
    let expected: Vec<_> = acknowledged.into_iter().map(|(revision, id)| (revision, id.into())).collect();
    assert_eq!(seen, expected);
    assert!(seen.iter().zip(start.get() + 1..).all(|((revision, _), number)| revision.get() == number));
}

/// What is committed later arrives without asking again.
pub async fn a_tail_goes_on_live<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let head = world.store.snapshot(Scope::All).await.unwrap().revision;
    let mut tail = world.store.tail(Scope::All, head);
    for name in ["a", "b", "c"] {
        assert!(is_idle(&mut tail), "there is nothing to read before {name}");
        let id = world.create_app(name).await;
        let commit = tokio::time::timeout(Duration::from_secs(30), tail.next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(&commit.events[..], [Event::Put(object)] if object.id() == id.into()));
        assert!(commit.at >= world.get(id).await.unwrap().created_at);
    }
}

/// `after` is exclusive.
pub async fn a_tail_begins_where_it_is_told<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    for name in ["a", "b", "c", "d"] {
        world.create_app(name).await;
    }
    let head = world.store.snapshot(Scope::All).await.unwrap().revision;
    for after in 0..head.get() {
        let commits = world.commits(Scope::All, Revision::new(after)).await;
        let revisions: Vec<_> = commits.iter().map(|commit| commit.revision.get()).collect();
        assert_eq!(revisions, (after + 1..=head.get()).collect::<Vec<_>>());
    }
    assert!(is_idle(&mut world.store.tail(Scope::All, head)));
}

/// A reader whose place was cut away is told so, and does not silently skip.
pub async fn a_reader_behind_the_log_is_compacted<H: StoreHarness>(harness: &H) {
    let world = World::with_retention(harness, Retention { commits: 10, ..Retention::default() }).await;
    for number in 0..100 {
        world.create_app(&format!("app-{number}")).await;
    }
    let head = world.store.snapshot(Scope::All).await.unwrap().revision;
    let mut tail = world.store.tail(Scope::All, Revision::new(1));
    let first = tokio::time::timeout(Duration::from_secs(30), tail.next()).await.unwrap();
    assert!(matches!(first, Some(Err(TailError::Compacted { after })) if after == Revision::new(1)), "{first:?}");
    assert!(tail.next().await.is_none(), "a tail ends after an error");
    let kept = Revision::new(head.get() - 10);
    assert_eq!(world.commits(Scope::All, kept).await.len(), 10, "what should be kept is kept");
}

/// A reader from the future of a restored store must start again.
pub async fn a_reader_ahead_of_the_log_is_compacted<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let head = world.store.snapshot(Scope::All).await.unwrap().revision;
    let mut tail = world.store.tail(Scope::All, head.next());
    let first = tokio::time::timeout(Duration::from_secs(30), tail.next()).await.unwrap();
    assert!(matches!(first, Some(Err(TailError::Compacted { .. }))), "{first:?}");
}

/// A tail that nobody reads does not hold the writers up. What it keeps for its reader is bounded, and
/// the reader learns in its place that the rest is gone.
pub async fn an_unread_tail_costs_nothing<H: StoreHarness>(harness: &H) {
    const COMMITS: u64 = 200;
    let world = World::with_retention(harness, Retention { commits: 20, ..Retention::default() }).await;
    let head = world.store.snapshot(Scope::All).await.unwrap().revision;
    let mut unread = world.store.tail(Scope::All, head);
    assert!(is_idle(&mut unread));
    let large = ["a", "b", "c", "d"].map(|name| (process(name), ProcessType::new(vec!["x".repeat(60_000)])));
    for number in 2..COMMITS + 2 {
        let id: ReleaseId = world.id();
        let spec = Release { processes: large.clone().into(), ..release(world.app, number) };
        world.commit([Change::create(id, world.team, spec)]).await;
    }
    // 48 MB are more than a connection buffers on its way.
    for expected in head.get() + 1.. {
        let next = tokio::time::timeout(Duration::from_secs(30), unread.next()).await.unwrap().unwrap();
        match next {
            Ok(commit) => assert_eq!(commit.revision.get(), expected, "there is a gap"),
            Err(TailError::Compacted { after }) => {
                assert_eq!(after.get() + 1, expected, "the reader is told where it is");
                return;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(expected < head.get() + COMMITS, "all that was never read was kept");
    }
}
