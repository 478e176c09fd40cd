//! A writer that got no answer can ask again.

use std::time::Duration;

use futures::future::join_all;

use crate::change::{Batch, Change};
use crate::conformance::world::app;
use crate::conformance::{StoreHarness, World};
use crate::error::{Conflict, StoreError};
use crate::noun::{App, AppId, NodeId};
use crate::port::Store;
use crate::retention::Retention;
use crate::rule::Principal;
use crate::scope::Scope;

fn keyed(key: &str, change: Change) -> Batch {
    Batch::new(Principal::System).with(change).idempotent(key, [7; 32])
}

/// The second time, the first answer is given and nothing is done.
pub async fn a_repeated_batch_is_applied_once<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id: AppId = world.id();
    let batch = keyed("k", Change::create(id, world.team, app("new")));
    let first = world.store.commit(batch.clone()).await.unwrap();
    assert!(!first.replayed);
    world.commit([Change::update(id, app("renamed"))]).await;
    let second = world.store.commit(batch).await.unwrap();
    assert_eq!((second.revision, &second.objects, second.replayed), (first.revision, &first.objects, true));
    assert_eq!(world.get(id).await.unwrap().spec.name.as_str(), "renamed");
}

/// The same key for another request is a conflict.
pub async fn a_key_is_for_one_request<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (first, second): (AppId, AppId) = (world.id(), world.id());
    world.store.commit(keyed("k", Change::create(first, world.team, app("one")))).await.unwrap();
    let other =
        Batch::new(Principal::System).with(Change::create(second, world.team, app("two"))).idempotent("k", [8; 32]);
    let refused = world.store.commit(other).await;
    assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::KeyReused { .. }, .. })), "{refused:?}");
    assert!(world.get(second).await.is_none());
}

/// Two writers can use the same key without knowing of each other.
pub async fn keys_belong_to_their_principal<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id: AppId = world.id();
    world.store.commit(keyed("k", Change::create(id, world.team, app("one")))).await.unwrap();
    let node = world.get(world.node).await.unwrap();
    let status = crate::noun::NodeStatus { version: "2".into(), ..node.status.clone() };
    let by_node = |node: NodeId| {
        Batch::new(Principal::Node(node)).with(Change::report(node, status.clone())).idempotent("k", [9; 32])
    };
    let committed = world.store.commit(by_node(world.node)).await.unwrap();
    assert!(!committed.replayed);
}

/// A refusal is not remembered: the writer can mend the world and ask again.
pub async fn a_refused_batch_leaves_its_key_free<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id: AppId = world.id();
    let batch = keyed("k", Change::create(id, world.team, app("taken")));
    let holder = world.create_app("taken").await;
    world.store.commit(batch.clone()).await.unwrap_err();
    world.commit([Change::remove(holder)]).await;
    assert!(!world.store.commit(batch).await.unwrap().replayed);
}

/// A key is forgotten when its time is over.
pub async fn keys_are_forgotten_by_age<H: StoreHarness>(harness: &H) {
    let retention = Retention { key_age: Duration::from_secs(60), ..Retention::default() };
    let world = World::with_retention(harness, retention).await;
    let id: AppId = world.id();
    let batch = keyed("old", Change::create(id, world.team, app("one")));
    world.store.commit(batch.clone()).await.unwrap();
    world.clock.advance(Duration::from_secs(59));
    assert!(world.store.commit(batch.clone()).await.unwrap().replayed);
    world.clock.advance(Duration::from_secs(2));
    let other: AppId = world.id();
    world.store.commit(keyed("young", Change::create(other, world.team, app("two")))).await.unwrap();
    let refused = world.store.commit(batch).await;
    assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::Exists(_), .. })), "{refused:?}");
}

/// Of too many keys the oldest are forgotten.
pub async fn keys_are_forgotten_by_number<H: StoreHarness>(harness: &H) {
    let world = World::with_retention(harness, Retention { keys: 3, ..Retention::default() }).await;
    let mut batches = Vec::new();
    for number in 0..4 {
        let id: AppId = world.id();
        let batch = keyed(&format!("k{number}"), Change::create(id, world.team, app(&format!("app-{number}"))));
        world.store.commit(batch.clone()).await.unwrap();
        batches.push(batch);
    }
    assert!(world.store.commit(batches[0].clone()).await.is_err(), "forgotten, so the app is there already");
    for batch in &batches[1..] {
        assert!(world.store.commit(batch.clone()).await.unwrap().replayed);
    }
}

/// Twenty copies of one request at the same time are one request.
pub async fn racing_repetitions_are_applied_once<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let before = world.store.snapshot(Scope::All).await.unwrap();
    let id: AppId = world.id();
    let batch = keyed("k", Change::create(id, world.team, app("new")));
    let asked = (0..20).map(|_| {
        let (store, batch) = (world.store.clone(), batch.clone());
        tokio::spawn(async move { store.commit(batch).await })
    });
    let answers: Vec<_> = join_all(asked).await.into_iter().map(|answer| answer.unwrap().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.iter().all(|answer| answer.revision == before.revision.next()));
    let after = world.store.snapshot(Scope::All).await.unwrap();
    assert_eq!(after.objects.count::<App>(), before.objects.count::<App>() + 1);
}

/// A key is short and printable.
pub async fn bad_keys_are_refused<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    for bad in ["", "a b", "a\n", "ä", &"k".repeat(256)] {
        let batch = keyed(bad, Change::update(world.app, app("renamed")));
        let refused = world.store.commit(batch).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{bad:?}: {refused:?}");
    }
    world.store.commit(keyed(&"k".repeat(255), Change::update(world.app, app("renamed")))).await.unwrap();
}
