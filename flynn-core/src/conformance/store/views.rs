//! A [`View`] over the store.

use std::time::Duration;

use crate::change::Change;
use crate::conformance::world::{app, in_state};
use crate::conformance::{StoreHarness, World};
use crate::noun::{Exit, JobState};
use crate::port::Store;
use crate::retention::Retention;
use crate::scope::Scope;
use crate::view::View;

const PATIENCE: Duration = Duration::from_secs(30);

/// Whoever waits for the revision of its commit finds it in the view.
pub async fn a_view_reads_its_own_writes<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (view, follower) = View::open(world.store.clone(), Scope::App(world.app)).await.unwrap();
    let follower = tokio::spawn(follower.run());
    for name in ["a", "b", "c"] {
        let revision = world.commit([Change::update(world.app, app(name))]).await.revision;
        let seen = tokio::time::timeout(PATIENCE, view.wait_for(revision)).await.unwrap().unwrap();
        assert_eq!(seen.objects.get(world.app).unwrap().spec.name.as_str(), name);
    }
    let elsewhere = world.create_app("elsewhere").await;
    let revision = world.store.snapshot(Scope::All).await.unwrap().revision;
    let seen = tokio::time::timeout(PATIENCE, view.wait_for(revision)).await.unwrap().unwrap();
    assert!(seen.objects.get(elsewhere).is_none());
    follower.abort();
    let _ = follower.await;
    assert!(view.wait_for(revision.next()).await.is_err(), "a view without a follower says so");
}

/// A view whose follower slept too long takes a new snapshot and is right again.
pub async fn a_view_survives_compaction<H: StoreHarness>(harness: &H) {
    let world = World::with_retention(harness, Retention { commits: 5, ..Retention::default() }).await;
    let (view, follower) = View::open(world.store.clone(), Scope::All).await.unwrap();
    for number in 0..50 {
        world.create_app(&format!("app-{number}")).await;
    }
    let revision = world.store.snapshot(Scope::All).await.unwrap().revision;
    let follower = tokio::spawn(follower.run());
    let seen = tokio::time::timeout(PATIENCE, view.wait_for(revision)).await.unwrap().unwrap();
    assert_eq!(seen, world.store.snapshot(Scope::All).await.unwrap());
    follower.abort();
}

/// At rest, a view is what the store would say.
pub async fn a_view_equals_a_snapshot<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let scopes = [Scope::All, Scope::Team(world.team), Scope::Node(world.node), Scope::Router];
    let mut views = Vec::new();
    for scope in scopes {
        let (view, follower) = View::open(world.store.clone(), scope).await.unwrap();
        views.push((scope, view, tokio::spawn(follower.run())));
    }
    for instance in 1..=10 {
        let id = world.create_job(instance).await;
        if instance % 3 != 0 {
            world.place(id).await.unwrap();
            world.commit([in_state(id, JobState::Exited(Exit::Code(0)))]).await;
        }
        if instance % 2 == 0 {
            world.commit([Change::remove(id)]).await;
        }
    }
    for (scope, view, follower) in views {
        let expected = world.store.snapshot(scope).await.unwrap();
        let seen = tokio::time::timeout(PATIENCE, view.wait_for(expected.revision)).await.unwrap().unwrap();
        assert_eq!(seen, expected, "{scope:?}");
        follower.abort();
    }
}
