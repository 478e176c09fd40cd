use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::election::{Lease, Seat};
use crate::error::BoxError;
use crate::noun::ObjectId;
use crate::retention::Retention;
use crate::rule::Principal;
use crate::state::{Entry, Remembered, State};
use crate::wire::{self, Text};

/// Everything that one transaction writes.
#[derive(Default)]
pub(super) struct Rows {
    commits: Vec<Commit>,
    events: Vec<Event>,
    /// The last document of each touched object; none if it was removed.
    objects: BTreeMap<ObjectId, Option<Arc<str>>>,
    archive: Vec<Archive>,
    audit: Vec<Audit>,
    keys: Vec<Key>,
}

struct Commit {
    revision: i64,
    time: i64,
    principal: String,
}

struct Event {
    revision: i64,
    position: i64,
    id: ObjectId,
    was: Option<String>,
    document: Option<Arc<str>>,
}

struct Archive {
    id: ObjectId,
    app: Option<Vec<u8>>,
    revision: i64,
    position: i64,
    time: i64,
    document: String,
}

struct Audit {
    revision: i64,
    time: i64,
    principal: String,
    objects: String,
}

struct Key {
    principal: String,
    key: Arc<str>,
    fingerprint: Vec<u8>,
    time: i64,
    revision: i64,
    objects: String,
}

impl Rows {
    pub(super) fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.keys.is_empty()
    }

    /// Adds what a batch did.
    ///
    /// # Errors
    /// An object has no document. Nothing was added.
    pub(super) fn add(&mut self, entry: Option<&Entry>, remembered: Option<&Remembered>) -> Result<(), BoxError> {
        if let Some(entry) = entry {
            self.add_entry(entry)?;
        }
        self.keys.extend(remembered.map(|first| Key {
            principal: first.principal.encode(),
            key: first.key.clone(),
            fingerprint: first.fingerprint.to_vec(),
            time: signed(first.at.as_millis()),
            revision: signed(first.revision.get()),
            objects: encode_ids(&first.objects),
        }));
        Ok(())
    }

    fn add_entry(&mut self, entry: &Entry) -> Result<(), BoxError> {
        let (revision, time) = (signed(entry.revision.get()), signed(entry.at.as_millis()));
        let (mut events, mut archive) = (Vec::new(), Vec::new());
        for (position, transition) in (0..).zip(&entry.transitions) {
            let id = transition.id;
            let document = transition.is.as_ref().map(wire::encode).transpose()?.map(Arc::from);
            let was = transition.was.as_ref().map(wire::encode_membership).transpose()?;
            events.push(Event { revision, position, id, was, document });
            if let Some(object) = &transition.archived {
                let app = transition.was.and_then(|was| was.app).map(|app| app.uuid().as_bytes().to_vec());
                archive.push(Archive { id, app, revision, position, time, document: wire::encode(object)? });
            }
        }
        let principal = entry.principal.encode();
        if let Principal::Bearer(_) = entry.principal {
            let ids: Vec<_> = entry.transitions.iter().map(|transition| transition.id).collect();
            self.audit.push(Audit { revision, time, principal: principal.clone(), objects: encode_ids(&ids) });
        }
        self.commits.push(Commit { revision, time, principal });
        self.objects.extend(events.iter().map(|event| (event.id, event.document.clone())));
        self.events.extend(events);
        self.archive.extend(archive);
        Ok(())
    }

    /// Writes the event log and what follows from it.
    pub(super) async fn write_log(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        insert(connection, "INSERT INTO commits (revision, time_ms, principal) ", &self.commits, |row, commit| {
            row.push_bind(commit.revision).push_bind(commit.time).push_bind(&commit.principal);
        })
        .await?;
        let events = "INSERT INTO events (revision, position, kind, id, was, document) ";
        insert(connection, events, &self.events, |row, event| {
            row.push_bind(event.revision)
                .push_bind(event.position)
                .push_bind(event.id.kind().as_str())
                .push_bind(bytes_of(event.id))
                .push_bind(event.was.as_deref())
                .push_bind(event.document.as_deref());
        })
        .await?;
        let archive = "INSERT INTO archive (kind, app, revision, position, time_ms, document) ";
        insert(connection, archive, &self.archive, |row, archived| {
            row.push_bind(archived.id.kind().as_str())
                .push_bind(archived.app.as_deref())
                .push_bind(archived.revision)
                .push_bind(archived.position)
                .push_bind(archived.time)
                .push_bind(&archived.document);
        })
        .await?;
        let audit = "INSERT INTO audit (revision, time_ms, principal, objects) ";
        insert(connection, audit, &self.audit, |row, audit| {
            row.push_bind(audit.revision).push_bind(audit.time).push_bind(&audit.principal).push_bind(&audit.objects);
        })
        .await?;
        // A key that was forgotten may be used again while its old row waits to be pruned.
        let keys = "INSERT OR REPLACE INTO keys (principal, key, fingerprint, time_ms, revision, objects) ";
        insert(connection, keys, &self.keys, |row, key| {
            row.push_bind(&key.principal)
                .push_bind(&*key.key)
                .push_bind(key.fingerprint.as_slice())
                .push_bind(key.time)
                .push_bind(key.revision)
                .push_bind(&key.objects);
        })
        .await
    }

    /// Writes what is.
    pub(super) async fn write_objects(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let (mut present, mut removed) = (Vec::new(), Vec::new());
        for (id, document) in &self.objects {
            match document {
                Some(document) => present.push((*id, document)),
                None => removed.push(*id),
            }
        }
        let objects = "INSERT OR REPLACE INTO objects (kind, id, document) ";
        insert(connection, objects, &present, |row, (id, document)| {
            row.push_bind(id.kind().as_str()).push_bind(bytes_of(*id)).push_bind(&***document);
        })
        .await?;
        for id in removed {
            sqlx::query("DELETE FROM objects WHERE kind = ? AND id = ?")
                .bind(id.kind().as_str())
                .bind(bytes_of(id))
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    /// Cuts off what is past its time. Touches only tables that this transaction adds to.
    pub(super) async fn prune(
        &self,
        connection: &mut SqliteConnection,
        retention: &Retention,
        state: &State,
    ) -> Result<(), sqlx::Error> {
        if !self.commits.is_empty() {
            sqlx::query("DELETE FROM commits WHERE revision <= ?")
                .bind(signed(state.revision.get().saturating_sub(retention.commits)))
                .execute(&mut *connection)
                .await?;
        }
        for id in self.objects.iter().filter(|(_, document)| document.is_none()).map(|(id, _)| *id) {
            if let ObjectId::App(app) = id {
                let app = app.uuid().as_bytes().to_vec();
                sqlx::query("DELETE FROM archive WHERE app = ?").bind(app).execute(&mut *connection).await?;
            }
        }
        let shelves: std::collections::BTreeSet<_> =
            self.archive.iter().map(|row| (row.id.kind(), row.app.as_deref())).collect();
        for (kind, app) in shelves {
            sqlx::query(
                "DELETE FROM archive WHERE (kind, revision, position) IN (SELECT kind, revision, position FROM archive
                 WHERE kind = ? AND app IS ? ORDER BY revision DESC, position DESC LIMIT -1 OFFSET ?)",
            )
            .bind(kind.as_str())
            .bind(app)
            .bind(signed(retention.archived_per_app))
            .execute(&mut *connection)
            .await?;
        }
        if !self.audit.is_empty() {
            let newest = "DELETE FROM audit WHERE revision IN
                          (SELECT revision FROM audit ORDER BY revision DESC LIMIT -1 OFFSET ?)";
            sqlx::query(newest).bind(signed(retention.audit)).execute(&mut *connection).await?;
        }
        if !self.keys.is_empty() {
            let oldest = signed(state.time.before(retention.key_age).as_millis());
            let keys = i64::try_from(retention.keys).unwrap_or(i64::MAX);
            sqlx::query(
                "DELETE FROM keys WHERE time_ms < ?
                 OR serial IN (SELECT serial FROM keys ORDER BY serial DESC LIMIT -1 OFFSET ?)",
            )
            .bind(oldest)
            .bind(keys)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

/// Writes the last lease of a seat, or that the seat is gone.
pub(super) async fn write_lease(
    connection: &mut SqliteConnection,
    seat: &Seat,
    lease: Option<&Lease>,
) -> Result<(), sqlx::Error> {
    let seat = seat.encode();
    let query = match lease {
        None => sqlx::query("DELETE FROM leases WHERE seat = ?").bind(seat),
        Some(lease) => sqlx::query("INSERT OR REPLACE INTO leases (seat, holder, epoch, until_ms) VALUES (?, ?, ?, ?)")
            .bind(seat)
            .bind(&lease.holder)
            .bind(signed(lease.epoch.0))
            .bind(signed(lease.until.as_millis())),
    };
    query.execute(connection).await.map(drop)
}

/// Writes where the store stands. This comes last in every transaction.
pub(super) async fn write_position(connection: &mut SqliteConnection, state: &State) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE store SET revision = ?, time_ms = ?")
        .bind(signed(state.revision.get()))
        .bind(signed(state.time.as_millis()))
        .execute(connection)
        .await
        .map(drop)
}

/// SQLite takes 32,766 parameters a statement; no row here has more than 6.
const ROWS_A_STATEMENT: usize = 1_000;

type RowBuilder<'a, 'b> = sqlx::query_builder::Separated<'a, Sqlite, &'static str>;

async fn insert<T>(
    connection: &mut SqliteConnection,
    head: &'static str,
    rows: &[T],
    mut bind: impl FnMut(&mut RowBuilder<'_, '_>, &T),
) -> Result<(), sqlx::Error> {
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut query = QueryBuilder::<Sqlite>::new(head);
        query.push_values(chunk, |mut row, item| bind(&mut row, item));
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn bytes_of(id: ObjectId) -> Vec<u8> {
    id.uuid().as_bytes().to_vec()
}

/// Ids as text: `kind:uuid`, joined by spaces.
fn encode_ids(ids: &[ObjectId]) -> String {
    ids.iter().map(|id| format!("{}:{}", id.kind(), id.uuid())).collect::<Vec<_>>().join(" ")
}
