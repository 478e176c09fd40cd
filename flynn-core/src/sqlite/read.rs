use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::HashMap;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::rows::signed;
use crate::election::{Epoch, Lease, Seat};
use crate::error::BoxError;
use crate::feed::CHUNK;
use crate::memory::page;
use crate::noun::{Kind, ObjectId, Objects};
use crate::port::{ArchiveQuery, Archived, AuditRecord, Cursor, Page};
use crate::retention::Retention;
use crate::revision::Revision;
use crate::rule::Principal;
use crate::state::{Entry, Keys, Remembered, State, Transition};
use crate::time::Timestamp;
use crate::wire::{self, Text};

/// The whole state of the file.
pub(super) async fn state(connection: &mut SqliteConnection, retention: &Retention) -> Result<State, BoxError> {
    let row = sqlx::query("SELECT revision, time_ms FROM store").fetch_one(&mut *connection).await?;
    let (revision, time) = (revision(&row, "revision")?, timestamp(&row, "time_ms")?);
    let mut objects = Objects::default();
    for row in sqlx::query("SELECT kind, document FROM objects").fetch_all(&mut *connection).await? {
        objects.insert(wire::decode(kind(&row)?, row.try_get("document")?)?);
    }
    let mut leases = HashMap::new();
    for row in sqlx::query("SELECT seat, holder, epoch, until_ms FROM leases").fetch_all(&mut *connection).await? {
        let (seat, lease) = lease(&row)?;
        leases.insert(seat, lease);
    }
    let mut keys = Keys::default();
    let rows = "SELECT principal, key, fingerprint, time_ms, revision, objects FROM keys ORDER BY serial";
    for row in sqlx::query(rows).fetch_all(connection).await? {
        keys.remember(Arc::new(remembered(&row)?), retention);
    }
    Ok(State::restored(revision, time, objects, leases, keys))
}

fn lease(row: &SqliteRow) -> Result<(Seat, Lease), BoxError> {
    let epoch = Epoch(unsigned(row.try_get("epoch")?)?);
    let lease = Lease { holder: row.try_get("holder")?, epoch, until: timestamp(row, "until_ms")? };
    Ok((Seat::decode(row.try_get("seat")?)?, lease))
}

fn remembered(row: &SqliteRow) -> Result<Remembered, BoxError> {
    let fingerprint: &[u8] = row.try_get("fingerprint")?;
    Ok(Remembered {
        principal: Principal::decode(row.try_get("principal")?)?,
        key: row.try_get::<&str, _>("key")?.into(),
        fingerprint: fingerprint.try_into()?,
        at: timestamp(row, "time_ms")?,
        revision: revision(row, "revision")?,
        objects: decode_ids(row.try_get("objects")?)?,
    })
}

/// The commits after `after` up to `head`, at most a chunk. One read transaction, so that pruning cannot
/// take events out from under their commit.
pub(super) async fn entries(
    readers: &SqlitePool,
    after: Revision,
    head: Revision,
) -> Result<Vec<Arc<Entry>>, BoxError> {
    let mut transaction = readers.begin().await?;
    let commits = "SELECT revision, time_ms, principal FROM commits WHERE revision > ? AND revision <= ?
                   ORDER BY revision LIMIT ?";
    let commits = sqlx::query(commits)
        .bind(signed(after.get()))
        .bind(signed(head.get()))
        .bind(CHUNK as i64)
        .fetch_all(&mut *transaction)
        .await?;
    let mut entries = BTreeMap::new();
    for row in &commits {
        let (revision, at) = (revision(row, "revision")?, timestamp(row, "time_ms")?);
        let principal = Principal::decode(row.try_get("principal")?)?;
        entries.insert(revision, Entry { revision, at, principal, transitions: Vec::new() });
    }
    let Some((last, _)) = entries.last_key_value() else { return Ok(Vec::new()) };
    let events = "SELECT revision, kind, id, was, document FROM events WHERE revision > ? AND revision <= ?
                  ORDER BY revision, position";
    let events =
        sqlx::query(events).bind(signed(after.get())).bind(signed(last.get())).fetch_all(&mut *transaction).await?;
    for row in &events {
        let revision = revision(row, "revision")?;
        let entry = entries.get_mut(&revision).ok_or_else(|| format!("the events of {revision} have no commit"))?;
        entry.transitions.push(transition(row)?);
    }
    Ok(entries.into_values().map(Arc::new).collect())
}

fn transition(row: &SqliteRow) -> Result<Transition, BoxError> {
    let kind = kind(row)?;
    let was: Option<&str> = row.try_get("was")?;
    let document: Option<&str> = row.try_get("document")?;
    Ok(Transition {
        id: ObjectId::new(kind, Uuid::from_slice(row.try_get("id")?)?),
        was: was.map(wire::decode_membership).transpose()?,
        is: document.map(|document| wire::decode(kind, document)).transpose()?,
        archived: None,
    })
}

pub(super) async fn archived(
    readers: &SqlitePool,
    query: ArchiveQuery,
    cursor: Cursor,
    limit: usize,
) -> Result<Page<Archived>, BoxError> {
    let (revision_before, position_before) = bounds(cursor);
    let app = query.app.map(|app| app.uuid().as_bytes().to_vec());
    let rows = "SELECT revision, position, time_ms, kind, document FROM archive
                WHERE kind = ? AND (? IS NULL OR app = ?) AND (revision, position) < (?, ?)
                ORDER BY revision DESC, position DESC LIMIT ?";
    let rows = sqlx::query(rows)
        .bind(query.kind.as_str())
        .bind(app.clone())
        .bind(app)
        .bind(revision_before)
        .bind(position_before)
        .bind(one_more(limit))
        .fetch_all(readers)
        .await?;
    let mut found = Vec::new();
    for row in &rows {
        let (revision, at) = (revision(row, "revision")?, timestamp(row, "time_ms")?);
        let object = wire::decode(kind(row)?, row.try_get("document")?)?;
        let position = u32::try_from(row.try_get::<i64, _>("position")?)?;
        found.push(((revision, position), Archived { revision, at, object }));
    }
    Ok(page(found.into_iter(), limit))
}

pub(super) async fn audit(readers: &SqlitePool, cursor: Cursor, limit: usize) -> Result<Page<AuditRecord>, BoxError> {
    let (revision_before, _) = bounds(cursor);
    let rows = "SELECT revision, time_ms, principal, objects FROM audit WHERE revision < ?
                ORDER BY revision DESC LIMIT ?";
    let rows = sqlx::query(rows).bind(revision_before).bind(one_more(limit)).fetch_all(readers).await?;
    let mut found = Vec::new();
    for row in &rows {
        let revision = revision(row, "revision")?;
        let record = AuditRecord {
            revision,
            at: timestamp(row, "time_ms")?,
            principal: Principal::decode(row.try_get("principal")?)?,
            objects: decode_ids(row.try_get("objects")?)?,
        };
        found.push(((revision, 0), record));
    }
    Ok(page(found.into_iter(), limit))
}

fn bounds(cursor: Cursor) -> (i64, i64) {
    cursor.0.map_or((i64::MAX, i64::MAX), |(revision, position)| (signed(revision.get()), i64::from(position)))
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

fn kind(row: &SqliteRow) -> Result<Kind, BoxError> {
    let text: &str = row.try_get("kind")?;
    Kind::from_text(text).ok_or_else(|| UnknownKind(text.to_owned()).into())
}

/// A kind of object that this release does not have.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a kind of object")]
pub(super) struct UnknownKind(String);

fn revision(row: &SqliteRow, column: &'static str) -> Result<Revision, BoxError> {
    Ok(Revision::new(unsigned(row.try_get(column)?)?))
}

fn timestamp(row: &SqliteRow, column: &'static str) -> Result<Timestamp, BoxError> {
    Ok(Timestamp::from_millis(unsigned(row.try_get(column)?)?))
}

fn unsigned(number: i64) -> Result<u64, BoxError> {
    Ok(u64::try_from(number)?)
}

fn decode_ids(text: &str) -> Result<Vec<ObjectId>, BoxError> {
    let decode = |word: &str| -> Result<ObjectId, BoxError> {
        let (kind, uuid) = word.split_once(':').ok_or_else(|| format!("`{word}` is not KIND:ID"))?;
        let kind = Kind::from_text(kind).ok_or_else(|| format!("`{kind}` is not a kind of object"))?;
        Ok(ObjectId::new(kind, Uuid::try_parse(uuid)?))
    };
    text.split_whitespace().map(decode).collect()
}
