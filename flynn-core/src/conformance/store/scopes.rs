//! Readers see their part, all of it and nothing else.

use crate::change::Change;
use crate::conformance::world::{app, in_state, route};
use crate::conformance::{StoreHarness, World};
use crate::name::TeamName;
use crate::noun::{App, AppId, Exit, Job, JobState, Kind, Object, ObjectId, Objects, RouteId, Team, TeamId};
use crate::port::{Event, Store};
use crate::revision::Revision;
use crate::scope::Scope;

fn ids(objects: &Objects) -> Vec<ObjectId> {
    objects.all().map(|object| object.id()).collect()
}

/// Each scope has its objects.
pub async fn a_scope_shows_its_own_and_nothing_else<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (blue, theirs, of_route): (TeamId, AppId, RouteId) = (world.id(), world.id(), world.id());
    world
        .commit([
            Change::create(blue, TeamId::SYSTEM, Team { name: TeamName::new("blue").unwrap() }),
            Change::create(theirs, blue, app("theirs")),
            Change::create(of_route, world.team, route(world.app, "a.example")),
        ])
        .await;
    let placed = world.create_job(1).await;
    world.place(placed).await.unwrap();
    let pending = world.create_job(2).await;
    let check = async |scope, mut expected: Vec<ObjectId>| {
        let snapshot = world.store.snapshot(scope).await.unwrap();
        let mut seen = ids(&snapshot.objects);
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected, "{scope:?}");
    };
    let of_app: Vec<ObjectId> =
        vec![world.app.into(), world.release.into(), of_route.into(), placed.into(), pending.into()];
    check(Scope::App(world.app), of_app.clone()).await;
    check(Scope::Team(world.team), of_app.clone()).await;
    check(Scope::Team(blue), vec![theirs.into()]).await;
    check(Scope::Node(world.node), vec![world.node.into(), placed.into()]).await;
    let routed = vec![world.app.into(), theirs.into(), of_route.into(), placed.into(), pending.into()];
    check(Scope::Router, routed).await;
}

/// A node hears of a job when it is placed there, not before.
pub async fn a_job_enters_the_scope_of_its_node<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id = world.create_job(1).await;
    let scope = Scope::Node(world.node);
    let before = world.store.snapshot(scope).await.unwrap();
    assert!(before.objects.get(id).is_none());
    world.place(id).await.unwrap();
    let commits = world.commits(scope, before.revision).await;
    let events: Vec<_> = commits.into_iter().flat_map(|commit| commit.events).collect();
    match events.as_slice() {
        [Event::Put(Object::Job(job))] => assert_eq!((job.id, job.spec.node), (id, Some(world.node))),
        other => panic!("{other:?}"),
    }
}

/// Whoever saw an object hears of its removal, and nobody else does.
pub async fn what_is_removed_arrives_as_removed<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let other = world.create_app("other").await;
    let id = world.create_job(1).await;
    world.place(id).await.unwrap();
    world.commit([in_state(id, JobState::Exited(Exit::Code(0)))]).await;
    let before = world.store.snapshot(Scope::All).await.unwrap().revision;
    world.commit([Change::remove(id)]).await;
    for scope in [Scope::All, Scope::Node(world.node), Scope::App(world.app), Scope::Team(world.team), Scope::Router] {
        let events: Vec<_> = world.commits(scope, before).await.into_iter().flat_map(|commit| commit.events).collect();
        assert_eq!(events, [Event::Removed(id.into())], "{scope:?}");
    }
    let events: Vec<_> =
        world.commits(Scope::App(other), before).await.into_iter().flat_map(|commit| commit.events).collect();
    assert_eq!(events, []);
}

/// A router gets jobs and apps without what only the app may know.
pub async fn routers_see_no_environments<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let mut secretive = app("web");
    secretive.env = world.job(1).workload.env.clone();
    world.commit([Change::update(world.app, secretive)]).await;
    world.create_job(1).await;
    let check = |object: &Object| match object {
        Object::App(app) => assert!(app.spec.env.is_empty()),
        Object::Job(job) => assert!(job.spec.workload.env.is_empty()),
        _ => assert!(!matches!(object.id().kind(), Kind::Release | Kind::Token | Kind::Addon)),
    };
    let snapshot = world.store.snapshot(Scope::Router).await.unwrap();
    assert_eq!((snapshot.objects.count::<App>(), snapshot.objects.count::<Job>()), (1, 1));
    snapshot.objects.all().for_each(|object| check(&object));
    for commit in world.commits(Scope::Router, Revision::ZERO).await {
        for event in commit.events {
            if let Event::Put(object) = event {
                check(&object);
            }
        }
    }
    let whole = world.store.snapshot(Scope::Team(world.team)).await.unwrap();
    assert!(whole.objects.iter::<Job>().all(|job| !job.spec.workload.env.is_empty()));
}

/// A reader whose scope is quiet still learns how far the store has come.
pub async fn a_tail_in_scope_reaches_the_head<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let before = world.store.snapshot(Scope::All).await.unwrap().revision;
    for number in 0..10 {
        world.create_app(&format!("app-{number}")).await;
    }
    let commits = world.commits(Scope::Node(world.node), before).await;
    assert!(commits.iter().all(|commit| commit.events.is_empty()));
    assert_eq!(commits.last().unwrap().revision.get(), before.get() + 10);
}

/// A snapshot plus what follows it is the next snapshot, in every scope and from every point.
pub async fn snapshot_and_tail_agree<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let scopes = [Scope::All, Scope::Team(world.team), Scope::App(world.app), Scope::Node(world.node), Scope::Router];
    let mut points = Vec::new();
    for instance in 1..=6 {
        for scope in scopes {
            points.push((scope, world.store.snapshot(scope).await.unwrap()));
        }
        let id = world.create_job(instance).await;
        world.place(id).await.unwrap();
        if instance % 2 == 0 {
            world.commit([in_state(id, JobState::Exited(Exit::Code(0)))]).await;
            world.commit([Change::remove(id)]).await;
        }
    }
    for (scope, mut snapshot) in points {
        for commit in world.commits(scope, snapshot.revision).await {
            for event in commit.events {
                match event {
                    Event::Put(object) => drop(snapshot.objects.insert(object)),
                    Event::Removed(id) => assert!(snapshot.objects.remove(id).is_some(), "{scope:?}: {id}"),
                }
            }
            (snapshot.revision, snapshot.at) = (commit.revision, commit.at);
        }
        assert_eq!(snapshot, world.store.snapshot(scope).await.unwrap(), "{scope:?}");
    }
}
