//! What is over is kept for a while.

use crate::change::Change;
use crate::conformance::world::{app, in_state, route};
use crate::conformance::{StoreHarness, World, token_secret};
use crate::name::UserName;
use crate::noun::{Exit, JobId, JobState, Kind, Object, RouteId, Standing, TeamId, Token, TokenScope, User};
use crate::port::{ArchiveQuery, Archived, Cursor, Elections, EventLog, History, Store};
use crate::retention::Retention;
use crate::rule::Principal;

async fn end_job<S: Store + EventLog + History + Elections + 'static>(world: &World<S>, code: i32) -> JobId {
    let id = world.create_job(1).await;
    world.place(id).await.unwrap();
    let changes = [in_state(id, JobState::Exited(Exit::Code(code))), Change::remove(id)];
    // Whether its end and its removal are one batch or two makes no difference to what is remembered.
    match code % 2 {
        0 => drop(world.commit(changes).await),
        _ => {
            for change in changes {
                world.commit([change]).await;
            }
        }
    }
    id
}

fn job_ids(entries: &[Archived]) -> Vec<JobId> {
    let id = |archived: &Archived| match &archived.object {
        Object::Job(job) => job.id,
        other => panic!("{other:?}"),
    };
    entries.iter().map(id).collect()
}

/// Pages join without a gap, newest first, and show the object as it was at its end.
pub async fn removed_jobs_are_paged_newest_first<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let mut jobs = Vec::new();
    for code in 0..7 {
        jobs.push(end_job(&world, code).await);
    }
    jobs.reverse();
    for query in [ArchiveQuery { kind: Kind::Job, app: Some(world.app) }, ArchiveQuery { kind: Kind::Job, app: None }] {
        let mut seen = Vec::new();
        let mut cursor = Some(Cursor::default());
        while let Some(from) = cursor {
            let page = world.store.archived(query, from, 3).await.unwrap();
            assert!(page.entries.len() <= 3);
            seen.extend(page.entries);
            assert!(seen.len() <= jobs.len(), "the pages overlap");
            cursor = page.next;
        }
        assert_eq!(job_ids(&seen), jobs);
        for (code, archived) in (0..7).rev().zip(&seen) {
            match &archived.object {
                Object::Job(job) => assert_eq!(job.status.state, JobState::Exited(Exit::Code(code))),
                other => panic!("{other:?}"),
            }
        }
    }
    let other = world.create_app("other").await;
    let none = ArchiveQuery { kind: Kind::Job, app: Some(other) };
    assert_eq!(world.store.archived(none, Cursor::default(), 3).await.unwrap().entries, []);
}

/// Only the newest of each app are kept.
pub async fn the_history_is_pruned_per_app<H: StoreHarness>(harness: &H) {
    let world = World::with_retention(harness, Retention { archived_per_app: 3, ..Retention::default() }).await;
    let mut jobs = Vec::new();
    for code in 0..8 {
        jobs.push(end_job(&world, code).await);
    }
    let query = ArchiveQuery { kind: Kind::Job, app: Some(world.app) };
    let page = world.store.archived(query, Cursor::default(), 100).await.unwrap();
    assert_eq!(job_ids(&page.entries), [jobs[7], jobs[6], jobs[5]]);
    assert_eq!(page.next, None);
}

/// A removed route is simply gone.
pub async fn other_nouns_leave_no_trace<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id: RouteId = world.id();
    world.commit([Change::create(id, world.team, route(world.app, "a.example"))]).await;
    world.commit([Change::remove(id)]).await;
    let query = ArchiveQuery { kind: Kind::Route, app: None };
    assert_eq!(world.store.archived(query, Cursor::default(), 10).await.unwrap().entries, []);
}

async fn admin<S: Store + EventLog + History + Elections + 'static>(world: &World<S>) -> Principal {
    let (user, token) = (world.id(), world.id());
    let scope = TokenScope::User(user);
    world
        .commit([
            Change::create(
                user,
                TeamId::SYSTEM,
                User { name: UserName::new("root").unwrap(), standing: Standing::Admin },
            ),
            Change::create(
                token,
                TeamId::SYSTEM,
                Token { hash: token_secret(token).hash(), scope, label: String::new(), expires: None },
            ),
        ])
        .await;
    Principal::Bearer(token)
}

/// Who changed what can be read; the work of loops would drown it.
pub async fn bearers_are_audited_and_loops_are_not<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let admin = admin(&world).await;
    let committed = world.commit_as(admin, [Change::update(world.app, app("renamed"))]).await.unwrap();
    world.commit([Change::update(world.app, app("web"))]).await;
    world.commit_as(admin, [Change::create(world.app, world.team, app("web"))]).await.unwrap_err();
    let page = world.store.audit(Cursor::default(), 10).await.unwrap();
    match page.entries.as_slice() {
        [record] => {
            assert_eq!((record.revision, record.principal), (committed.revision, admin));
            assert_eq!(record.objects, [world.app.into()]);
        }
        other => panic!("{other:?}"),
    }
}

/// The audit record has an end, and its pages join.
pub async fn the_audit_record_is_pruned<H: StoreHarness>(harness: &H) {
    let world = World::with_retention(harness, Retention { audit: 4, ..Retention::default() }).await;
    let admin = admin(&world).await;
    let mut revisions = Vec::new();
    for number in 0..9 {
        let rename = Change::update(world.app, app(&format!("web-{number}")));
        revisions.push(world.commit_as(admin, [rename]).await.unwrap().revision);
    }
    let first = world.store.audit(Cursor::default(), 3).await.unwrap();
    let second = world.store.audit(first.next.unwrap(), 3).await.unwrap();
    assert_eq!(second.next, None);
    let seen: Vec<_> = first.entries.iter().chain(&second.entries).map(|record| record.revision).collect();
    assert_eq!(seen, [revisions[8], revisions[7], revisions[6], revisions[5]]);
}
