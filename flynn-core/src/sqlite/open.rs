use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqliteConnection, SqlitePool};

use super::read;
use crate::error::BoxError;
use crate::retention::Retention;
use crate::state::State;
use crate::wire::WireError;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("open {}: another process has this store open: stop it first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A later release wrote it. Nothing was changed.
    #[error("open {}: the store has schema {found} and this release knows {known}: use the release that wrote it, or a later one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema of this release.
        known: i64,
    },
    /// It holds what this release does not know, so a later one wrote it. Nothing was changed.
    #[error("open {}: the store holds what this release does not know: use the release that wrote it, or a later one", path.display())]
    Later {
        /// The file.
        path: PathBuf,
        /// What is not known.
        #[source]
        source: BoxError,
    },
    /// It is not a store, or damaged.
    #[error("open {}: this is not a readable store: restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: BoxError,
    },
    /// The file cannot be reached or written.
    #[error("open {}: the file cannot be opened", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: BoxError,
    },
}

/// An open file: the state it holds, its one writing connection and its readers.
pub(super) struct Opened {
    pub(super) state: State,
    pub(super) writer: SqliteConnection,
    pub(super) readers: SqlitePool,
    /// Held as long as the store is open.
    pub(super) lock: File,
}

fn migrations() -> Vec<Migration> {
    let store = include_str!("migrations/1_store.sql").into_sql_str();
    vec![Migration::new(1, "store".into(), MigrationType::Simple, store, false)]
}

pub(super) async fn open(path: &Path, retention: &Retention) -> Result<Opened, OpenError> {
    let unavailable = |source: BoxError| OpenError::Unavailable { path: path.to_owned(), source };
    let lock = lock(path)?;
    // SQLite gives its side files the mode of the database, so that is made before SQLite sees it.
    private_file(path).map_err(|error| unavailable(error.into()))?;
    let mut writer = connect(path).await.map_err(|error| classify(path, error))?;
    migrate(&mut writer, path, migrations()).await?;
    let state = read::state(&mut writer, retention).await.map_err(|source| unreadable(path, source))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(2)
        .min_connections(0)
        .idle_timeout(Duration::from_secs(60))
        .connect_lazy_with(options(path).read_only(true));
    Ok(Opened { state, writer, readers, lock })
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("mmap_size", "0")
        .pragma("journal_size_limit", "16777216")
        .disable_statement_logging()
}

/// The writing connection.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(path).connect().await
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let unavailable = |error: io::Error| OpenError::Unavailable { path: path.to_owned(), source: error.into() };
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private_file(Path::new(&name)).map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Brings the file to the newest schema of `migrations`. An older file is backed up beside itself first.
async fn migrate(connection: &mut SqliteConnection, path: &Path, migrations: Vec<Migration>) -> Result<(), OpenError> {
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
    let found = schema_of(connection).await.map_err(|error| classify(path, error))?;
    if found == 0 && !is_empty(connection).await.map_err(|error| classify(path, error))? {
        let source = "the file is a database of another program".into();
        return Err(OpenError::Damaged { path: path.to_owned(), source });
    }
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        back_up(connection, path, found).await?;
    }
    let migrator = Migrator::with_migrations(migrations);
    // `run` takes any `Acquire`, for which the compiler cannot prove that this future is `Send`.
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => classify(path, error),
        other => OpenError::Damaged { path: path.to_owned(), source: other.into() },
    })
}

/// The newest migration that was applied; 0 for an empty file.
async fn schema_of(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
    if sqlx::query_scalar::<_, i64>(table).fetch_one(&mut *connection).await? == 0 {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
    sqlx::query_scalar(newest).fetch_one(connection).await
}

async fn is_empty(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let foreign = "SELECT count(*) FROM sqlite_master WHERE name <> '_sqlx_migrations' AND name NOT LIKE 'sqlite_%'";
    Ok(sqlx::query_scalar::<_, i64>(foreign).fetch_one(connection).await? == 0)
}

async fn back_up(connection: &mut SqliteConnection, path: &Path, schema: i64) -> Result<(), OpenError> {
    let unavailable = |source: BoxError| OpenError::Unavailable { path: path.to_owned(), source };
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (partial, backup) = (beside(".backup-partial"), beside(&format!(".backup-schema-{schema}")));
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unavailable(error.into())),
        _ => {}
    }
    // SQLite writes into an empty file and keeps its mode.
    private_file(&partial).map_err(|error| unavailable(error.into()))?;
    let target = partial.to_str().ok_or_else(|| unavailable("the path is not UTF-8".into()))?;
    let copied = sqlx::query("VACUUM INTO ?").bind(target).execute(connection).await;
    copied.map_err(|error| unavailable(error.into()))?;
    private_file(&partial)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&partial, &backup))
        .and_then(|()| File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all())
        .map_err(|error| unavailable(error.into()))
}

/// A document that is whole but not understood, or a kind without a name here, comes from a later release.
fn unreadable(path: &Path, source: BoxError) -> OpenError {
    let path = path.to_owned();
    let is_later = match source.downcast_ref::<WireError>() {
        Some(WireError::Unreadable { source, .. }) => {
            source.downcast_ref::<serde_json::Error>().is_some_and(serde_json::Error::is_data)
        }
        _ => source.is::<read::UnknownKind>(),
    };
    if is_later { OpenError::Later { path, source } } else { OpenError::Damaged { path, source } }
}

/// SQLite's own words for "this is not a database" and for damage tell the user to restore; all else may pass.
fn classify(path: &Path, error: sqlx::Error) -> OpenError {
    const CORRUPT: &str = "11";
    const NOT_A_DATABASE: &str = "26";
    let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
    let path = path.to_owned();
    match code.as_deref() {
        Some(CORRUPT | NOT_A_DATABASE) => OpenError::Damaged { path, source: error.into() },
        _ => OpenError::Unavailable { path, source: error.into() },
    }
}

/// Closes a connection, checkpointing the log if it was the last.
pub(super) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "closing the store's file failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(version: i64, sql: &'static str) -> Migration {
        Migration::new(version, "test".into(), MigrationType::Simple, sql.into_sql_str(), false)
    }

    async fn names(path: &Path) -> Vec<String> {
        let mut connection = connect(path).await.unwrap();
        let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'made_%' ORDER BY name";
        sqlx::query_scalar(names).fetch_all(&mut connection).await.unwrap()
    }

    #[tokio::test]
    async fn an_older_file_is_backed_up_before_it_is_migrated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let backup = directory.path().join("store.db.backup-schema-1");
        let first = || migration(1, "CREATE TABLE made_first (x)");
        let second = || migration(2, "CREATE TABLE made_second (x)");
        let migrate = async |migrations| {
            let mut connection = connect_or_create(&path).await;
            migrate(&mut connection, &path, migrations).await
        };
        migrate(vec![first()]).await.unwrap();
        assert!(!backup.exists(), "an empty file needs no backup");
        migrate(vec![first(), migration(2, "CREATE TABLE made_first (y)")]).await.unwrap_err();
        assert_eq!(names(&path).await, ["made_first"], "a migration that failed leaves nothing");
        migrate(vec![first(), second()]).await.unwrap();
        assert_eq!(names(&path).await, ["made_first", "made_second"]);
        assert_eq!(names(&backup).await, ["made_first"]);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&backup).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        migrate(vec![first(), second()]).await.unwrap();
        let newer = migrate(vec![first()]).await;
        assert!(matches!(newer, Err(OpenError::Newer { found: 2, known: 1, .. })), "{newer:?}");
    }

    async fn connect_or_create(path: &Path) -> SqliteConnection {
        private_file(path).unwrap();
        connect(path).await.unwrap()
    }
}
