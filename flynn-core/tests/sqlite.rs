//! The store suite on SQLite, and what a file adds to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::conformance::{StoreHarness, World};
use flynn_core::election::{Campaign, Seat};
use flynn_core::name::AppName;
use flynn_core::noun::{App, AppId, DeploymentState, DeploymentStatus, Exit, JobState, JobStatus, Kind};
use flynn_core::port::{ArchiveQuery, Committed, Cursor, Elections, EventLog, History, Snapshot, Store, Tail};
use flynn_core::sqlite::{OpenError, SqliteOptions, SqliteStore};
use flynn_core::{
    Batch, Change, Clock, Principal, Retention, Revision, Scope, StoreError, SystemClock, Timestamp, election, port,
};
use futures::StreamExt;
use tempfile::TempDir;

/// A store whose directory goes with it.
struct InFile {
    store: SqliteStore,
    directory: TempDir,
}

struct Files;

#[async_trait]
impl StoreHarness for Files {
    type Store = InFile;

    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<InFile> {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(directory.path().join("store.db")).with_clock(clock).with_retention(retention);
        Arc::new(InFile { store: SqliteStore::open(options).await.unwrap(), directory })
    }
}

#[async_trait]
impl Store for InFile {
    async fn snapshot(&self, scope: Scope) -> Result<Snapshot, StoreError> {
        self.store.snapshot(scope).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.store.commit(batch).await
    }
}

impl EventLog for InFile {
    fn tail(&self, scope: Scope, after: Revision) -> Tail {
        self.store.tail(scope, after)
    }
}

#[async_trait]
impl History for InFile {
    async fn archived(
        &self,
        query: ArchiveQuery,
        cursor: Cursor,
        limit: usize,
    ) -> Result<port::Page<port::Archived>, StoreError> {
        self.store.archived(query, cursor, limit).await
    }

    async fn audit(&self, cursor: Cursor, limit: usize) -> Result<port::Page<port::AuditRecord>, StoreError> {
        self.store.audit(cursor, limit).await
    }
}

#[async_trait]
impl Elections for InFile {
    async fn campaign(&self, seat: Seat, holder: &str, term: Duration) -> Result<Campaign, StoreError> {
        self.store.campaign(seat, holder, term).await
    }

    async fn resign(&self, seat: Seat, epoch: election::Epoch) -> Result<(), StoreError> {
        self.store.resign(seat, epoch).await
    }
}

flynn_core::store_conformance!(Files);

fn options(directory: &TempDir) -> SqliteOptions {
    SqliteOptions::new(directory.path().join("store.db"))
}

fn app(name: &str) -> App {
    App::new(AppName::new(name).unwrap())
}

/// Everything is there again: objects, events, history, idempotency keys and leases.
#[tokio::test]
async fn a_restart_loses_nothing() {
    let world = World::new(&Files).await;
    let job = world.create_job(1).await;
    world.place(job).await.unwrap();
    let exited = JobStatus { state: JobState::Exited(Exit::Code(3)), since: Timestamp::from_millis(5) };
    world.commit([Change::report(job, exited)]).await;
    world.commit([Change::remove(job)]).await;
    let id: AppId = world.id();
    let keyed =
        Batch::new(Principal::System).with(Change::create(id, world.team, app("keyed"))).idempotent("k", [1; 32]);
    let first = world.store.commit(keyed.clone()).await.unwrap();
    let term = Duration::from_secs(3_600);
    let Campaign::Won(lease) = world.store.campaign(Seat::Controller, "a", term).await.unwrap() else { panic!() };
    let before = world.store.snapshot(Scope::All).await.unwrap();
    let commits = world.commits(Scope::All, Revision::ZERO).await;

    world.store.store.close().await;
    let again = SqliteStore::open(options(&world.store.directory).with_clock(world.clock.clone())).await.unwrap();
    assert_eq!(again.snapshot(Scope::All).await.unwrap(), before);
    let seen: Vec<_> = again.tail(Scope::All, Revision::ZERO).take(commits.len()).map(Result::unwrap).collect().await;
    assert_eq!(seen, commits);
    let replayed = again.commit(keyed).await.unwrap();
    assert_eq!((replayed.revision, replayed.replayed), (first.revision, true));
    assert_eq!(again.campaign(Seat::Controller, "b", term).await.unwrap(), Campaign::Held(lease));
    let query = ArchiveQuery { kind: Kind::Job, app: Some(world.app) };
    assert_eq!(again.archived(query, Cursor::default(), 10).await.unwrap().entries.len(), 1);
    // The rules go on where they were: the name is still taken.
    let refused = again.commit(Batch::new(Principal::System).with(Change::create(AppId::NIL, world.team, app("web"))));
    assert!(matches!(refused.await, Err(StoreError::Conflict { .. })));
    again.close().await;
}

/// Two processes on one file would each believe their own memory.
#[tokio::test]
async fn a_file_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let first = SqliteStore::open(options(&directory)).await.unwrap();
    let second = SqliteStore::open(options(&directory)).await;
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    first.close().await;
    SqliteStore::open(options(&directory)).await.unwrap().close().await;
}

/// A closed store says so instead of hanging.
#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(&directory)).await.unwrap();
    store.close().await;
    store.close().await;
    let refused = store.commit(Batch::new(Principal::System)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
}

/// Readers of a store that was closed under them are told, and do not wait for ever.
#[tokio::test]
async fn a_closed_store_ends_its_tails_and_views() {
    let world = World::new(&Files).await;
    let head = world.store.snapshot(Scope::All).await.unwrap().revision;
    let mut tail = world.store.tail(Scope::All, head);
    let waiting = tokio::spawn(async move { tail.next().await });
    world.store.store.close().await;
    let last = tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
    assert!(matches!(last, Some(Err(port::TailError::Unavailable(_)))), "{last:?}");
    let refused = world.store.snapshot(Scope::All).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
}

/// The seat of a deployment goes with it, in memory and in the file, also when both are asked for at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seats_of_removed_deployments_are_gone_after_a_restart() {
    let world = Arc::new(World::new(&Files).await);
    for _ in 0..20 {
        let id = world.id();
        world.commit([Change::create(id, world.team, world.deployment())]).await;
        let done = DeploymentStatus { state: DeploymentState::Done, ..DeploymentStatus::default() };
        world.commit([Change::report(id, done)]).await;
        let asking = world.clone();
        let asked = tokio::spawn(async move {
            let _ = asking.store.campaign(Seat::Deployment(id), "a", Duration::from_secs(60)).await;
        });
        world.commit([Change::remove(id)]).await;
        asked.await.unwrap();
    }
    world.store.store.close().await;
    let mut connection = connect(&world.store.directory).await;
    let leases: i64 = sqlx::query_scalar("SELECT count(*) FROM leases").fetch_one(&mut connection).await.unwrap();
    assert_eq!(leases, 0);
}

/// Another program's database is not ours to add tables to.
#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let create = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut foreign = sqlx::ConnectOptions::connect(&create).await.unwrap();
    sqlx::query("CREATE TABLE theirs (x)").execute(&mut foreign).await.unwrap();
    sqlx::Connection::close(foreign).await.unwrap();
    let refused = SqliteStore::open(options(&directory)).await;
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    let mut again = connect(&directory).await;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master").fetch_one(&mut again).await.unwrap();
    assert_eq!(tables, 1);
}

/// What a later release wrote is told apart from damage, and left as it is.
#[tokio::test]
async fn documents_of_a_later_release_are_refused_as_that() {
    let later = "UPDATE objects SET document = json_set(document, '$.spec.lifecycle', 'dreaming') WHERE kind = 'app'";
    let unknown = "UPDATE objects SET kind = 'starship' WHERE kind = 'app'";
    let broken = "UPDATE objects SET document = substr(document, 1, 40) WHERE kind = 'app'";
    for (change, is_later) in [(later, true), (unknown, true), (broken, false)] {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(options(&directory)).await.unwrap();
        let app: AppId = flynn_core::Ids::seeded(1).next(Timestamp::EPOCH);
        let team = flynn_core::Ids::seeded(2).next(Timestamp::EPOCH);
        let named = flynn_core::noun::Team { name: flynn_core::name::TeamName::new("red").unwrap() };
        let changes = [
            Change::create(team, flynn_core::noun::TeamId::SYSTEM, named),
            Change::create(app, team, App::new(AppName::new("web").unwrap())),
        ];
        let batch = Batch { changes: changes.into(), ..Batch::new(Principal::System) };
        store.commit(batch).await.unwrap();
        store.close().await;
        let file = sqlx::sqlite::SqliteConnectOptions::new().filename(directory.path().join("store.db"));
        let mut file = sqlx::ConnectOptions::connect(&file).await.unwrap();
        let changed = sqlx::query(change).execute(&mut file).await.unwrap();
        assert_eq!(changed.rows_affected(), 1, "{change}");
        sqlx::Connection::close(file).await.unwrap();
        let refused = SqliteStore::open(options(&directory)).await.expect_err("it is refused");
        match refused {
            OpenError::Later { .. } => assert!(is_later, "{change}"),
            OpenError::Damaged { .. } => assert!(!is_later, "{change}"),
            other => panic!("{change}: {other:?}"),
        }
    }
}

/// What is no store is refused, by name, and left as it is.
#[tokio::test]
async fn a_file_that_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let foreign = b"This is not a database, and longer than the header of one. ".repeat(100);
    std::fs::write(&path, &foreign).unwrap();
    let refused = SqliteStore::open(options(&directory)).await;
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), foreign);
}

/// A directory that is not there is no reason to make one somewhere unexpected.
#[tokio::test]
async fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let refused = SqliteStore::open(SqliteOptions::new(directory.path().join("absent/store.db"))).await;
    match refused {
        Err(error @ OpenError::Unavailable { .. }) => assert!(error.to_string().contains("absent/store.db")),
        other => panic!("{other:?}"),
    }
}

/// A file of a later release is not touched.
#[tokio::test]
async fn a_newer_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    SqliteStore::open(options(&directory)).await.unwrap().close().await;
    let mut later = connect(&directory).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (1000, 'later', TRUE, x'00', 0)",
    )
    .execute(&mut later)
    .await
    .unwrap();
    sqlx::Connection::close(later).await.unwrap();
    let refused = SqliteStore::open(options(&directory)).await;
    assert!(matches!(refused, Err(OpenError::Newer { found: 1_000, .. })), "{refused:?}");
}

async fn connect(directory: &TempDir) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(directory.path().join("store.db"));
    options.connect().await.unwrap()
}

/// The settings that durability rests on, read from the file and not from our intentions.
#[tokio::test]
async fn the_file_is_private_and_in_wal_mode() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new(&Files).await;
    for name in ["store.db", "store.db-wal", "store.db.lock"] {
        let mode = std::fs::metadata(world.store.directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mut connection = connect(&world.store.directory).await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
    assert_eq!(mode, "wal");
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await.unwrap();
    let number: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(number >= vec![3, 51, 3], "{version} can corrupt a file when the WAL is reset");
}

/// The log, the history and the keys stop growing.
#[tokio::test]
async fn the_file_is_pruned() {
    let retention =
        Retention { commits: 20, archived_per_app: 3, audit: 5, keys: 4, key_age: Duration::from_secs(3_600) };
    let world = World::with_retention(&Files, retention).await;
    for round in 0..60 {
        let id: AppId = world.id();
        let batch = Batch::new(Principal::System)
            .with(Change::create(id, world.team, app(&format!("app-{round}"))))
            .idempotent(format!("k{round}"), [0; 32]);
        world.store.commit(batch).await.unwrap();
        let job = world.create_job(1).await;
        world.commit([Change::remove(job)]).await;
    }
    world.store.store.close().await;
    let mut connection = connect(&world.store.directory).await;
    for (query, expected) in [
        ("SELECT count(*) FROM commits", 20),
        ("SELECT count(DISTINCT revision) FROM events", 20),
        ("SELECT count(*) FROM archive", 3),
        ("SELECT count(*) FROM keys", 4),
    ] {
        let count: i64 = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        assert_eq!(count, expected, "{query}");
    }
}

/// The time of the store does not fall back behind its last commit when it is opened again.
#[tokio::test]
async fn time_goes_on_after_a_restart() {
    let world = World::new(&Files).await;
    let last = world.store.snapshot(Scope::All).await.unwrap().at;
    world.store.store.close().await;
    world.clock.set(Timestamp::from_millis(5));
    let again = SqliteStore::open(options(&world.store.directory).with_clock(world.clock.clone())).await.unwrap();
    let change = Change::create(AppId::NIL, world.team, app("later"));
    again.commit(Batch::new(Principal::System).with(change)).await.unwrap();
    let snapshot = again.snapshot(Scope::All).await.unwrap();
    assert_eq!(snapshot.objects.get(AppId::NIL).unwrap().created_at, last);
    assert!(SystemClock.now() > Timestamp::EPOCH);
    again.close().await;
}
