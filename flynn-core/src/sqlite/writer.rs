use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::rows::{Rows, write_lease, write_position};
use super::{Shared, SqliteOptions, open, read};
use crate::change::Batch;
use crate::election::{Campaign, Epoch, Seat};
use crate::error::{BoxError, DiskFull, StoreError};
use crate::noun::ObjectId;
use crate::port::Committed;
use crate::state::{Entry, State, campaign, judge, resign};

/// What the writer is asked to do.
pub(super) enum Request {
    Commit(Box<Batch>, Answer<Committed>),
    Campaign { seat: Seat, holder: String, term: Duration, answer: Answer<Campaign> },
    Resign { seat: Seat, epoch: Epoch, answer: Answer<()> },
    Close,
}

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// The stages of a transaction, at each of which the process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommitStage {
    /// The batch was found good.
    Judged,
    /// The transaction has begun.
    Begun,
    /// The event log is written.
    LogWritten,
    /// The objects are written.
    ObjectsWritten,
    /// What is past its time is cut off.
    Pruned,
    /// The counter is written.
    PositionWritten,
    /// The transaction is durable.
    Committed,
    /// Readers see it.
    Published,
}

impl CommitStage {
    /// All stages in their order.
    pub const ALL: [Self; 8] = [
        Self::Judged,
        Self::Begun,
        Self::LogWritten,
        Self::ObjectsWritten,
        Self::Pruned,
        Self::PositionWritten,
        Self::Committed,
        Self::Published,
    ];
}

pub(super) type OnStage = Arc<dyn Fn(CommitStage) + Send + Sync>;

/// At most this many requests share a transaction.
const MOST_TOGETHER: usize = 64;

/// The one task that writes.
pub(super) struct Writer {
    options: SqliteOptions,
    /// None after a failure, until the file has been read again.
    connection: Option<SqliteConnection>,
    shared: Arc<Shared>,
    _lock: File,
}

impl Writer {
    pub(super) fn new(options: SqliteOptions, connection: SqliteConnection, lock: File, shared: Arc<Shared>) -> Self {
        Self { options, connection: Some(connection), shared, _lock: lock }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        // Also when this task panics: readers must not wait for ever.
        let _end = End(self.shared.clone());
        let mut requests = Vec::with_capacity(MOST_TOGETHER);
        let mut open = true;
        while open && queue.recv_many(&mut requests, MOST_TOGETHER).await > 0 {
            let end = requests.iter().position(|request| matches!(request, Request::Close));
            open = end.is_none();
            requests.truncate(end.unwrap_or(requests.len()));
            self.serve(requests.drain(..)).await;
        }
        if let Some(connection) = self.connection.take() {
            open::close(connection).await;
        }
    }

    async fn serve(&mut self, requests: impl Iterator<Item = Request>) {
        if let Err(error) = self.reconnect().await {
            tracing::warn!(%error, "the store's file cannot be read again");
            requests.for_each(|request| request.fail(&error));
            return;
        }
        let mut group = Group { state: self.shared.feed.state(), ..Group::default() };
        let pending: Vec<Pending> =
            requests.map(|request| Pending::judge(request, &mut group, &self.options)).collect();
        self.options.reached(CommitStage::Judged);
        let written = match &mut self.connection {
            Some(connection) if !group.writes_nothing() => Self::write(&self.options, connection, &group).await,
            _ => Ok(()),
        };
        match written {
            Ok(()) => {
                self.shared.feed.publish(group.state, group.entries);
                self.options.reached(CommitStage::Published);
                pending.into_iter().for_each(Pending::deliver);
            }
            Err(error) => {
                if let Some(connection) = self.connection.take() {
                    open::close(connection).await;
                }
                tracing::warn!(%error, "the store's file could not be written");
                let error = BoxError::from(error);
                pending.into_iter().for_each(|pending| pending.fail(&error));
            }
        }
    }

    /// After a failure nobody knows what the file holds, so it is read again.
    async fn reconnect(&mut self) -> Result<(), BoxError> {
        if self.connection.is_some() {
            return Ok(());
        }
        let mut connection = open::connect(&self.options.path).await?;
        let state = read::state(&mut connection, &self.options.retention).await?;
        let mut entries = Vec::new();
        let mut after = self.shared.feed.state().revision;
        while after < state.revision {
            let chunk = read::entries(&self.shared.readers, after, state.revision).await?;
            after = chunk.last().map_or(state.revision, |entry| entry.revision);
            entries.extend(chunk);
        }
        self.shared.feed.publish(state, entries);
        self.connection = Some(connection);
        Ok(())
    }

    async fn write(
        options: &SqliteOptions,
        connection: &mut SqliteConnection,
        group: &Group,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        options.reached(CommitStage::Begun);
        group.rows.write_log(&mut transaction).await?;
        options.reached(CommitStage::LogWritten);
        group.rows.write_objects(&mut transaction).await?;
        for seat in &group.seats {
            write_lease(&mut transaction, seat, group.state.leases.get(seat)).await?;
        }
        options.reached(CommitStage::ObjectsWritten);
        group.rows.prune(&mut transaction, &options.retention, &group.state).await?;
        options.reached(CommitStage::Pruned);
        write_position(&mut transaction, &group.state).await?;
        options.reached(CommitStage::PositionWritten);
        transaction.commit().await?;
        options.reached(CommitStage::Committed);
        Ok(())
    }
}

impl SqliteOptions {
    fn reached(&self, stage: CommitStage) {
        if let Some(on_stage) = &self.on_stage {
            on_stage(stage);
        }
    }
}

/// Tells readers that the writer is gone.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.feed.close();
    }
}

/// The requests of one transaction, judged one after the other.
#[derive(Default)]
struct Group {
    state: State,
    rows: Rows,
    entries: Vec<Arc<Entry>>,
    /// The seats whose lease changed.
    seats: HashSet<Seat>,
}

impl Group {
    fn writes_nothing(&self) -> bool {
        self.rows.is_empty() && self.seats.is_empty()
    }

    fn commit(&mut self, batch: &Batch, options: &SqliteOptions) -> Result<Committed, StoreError> {
        let verdict = judge(&self.state, batch, &options.retention, options.clock.now())?;
        let remembered = batch.idempotency.as_ref().filter(|_| !verdict.committed.replayed);
        let remembered = remembered.and_then(|asked| verdict.state.keys.first_use(batch.principal, asked));
        self.rows
            .add(verdict.entry.as_deref(), remembered)
            .map_err(|source| StoreError::Internal { operation: "commit", source })?;
        let gone = verdict.entry.iter().flat_map(|entry| &entry.transitions).filter(|gone| gone.is.is_none());
        self.seats.extend(gone.filter_map(|gone| match gone.id {
            ObjectId::Deployment(id) => Some(Seat::Deployment(id)),
            _ => None,
        }));
        self.entries.extend(verdict.entry);
        self.state = verdict.state;
        Ok(verdict.committed)
    }

    fn campaign(
        &mut self,
        seat: Seat,
        holder: &str,
        term: Duration,
        options: &SqliteOptions,
    ) -> Result<Campaign, StoreError> {
        let outcome = campaign(&mut self.state, seat, holder, term, options.clock.now())?;
        if let Campaign::Won(_) = &outcome {
            self.seats.insert(seat);
        }
        Ok(outcome)
    }

    fn resign(&mut self, seat: Seat, epoch: Epoch, options: &SqliteOptions) {
        if resign(&mut self.state, seat, epoch, options.clock.now()) {
            self.seats.insert(seat);
        }
    }
}

/// A judged request whose caller waits for the transaction.
enum Pending {
    Commit(Answer<Committed>, Result<Committed, StoreError>),
    Campaign(Answer<Campaign>, Result<Campaign, StoreError>),
    Resign(Answer<()>),
    Nobody,
}

impl Pending {
    fn judge(request: Request, group: &mut Group, options: &SqliteOptions) -> Self {
        match request {
            Request::Commit(batch, answer) => Self::Commit(answer, group.commit(&batch, options)),
            Request::Campaign { seat, holder, term, answer } => {
                Self::Campaign(answer, group.campaign(seat, &holder, term, options))
            }
            Request::Resign { seat, epoch, answer } => {
                group.resign(seat, epoch, options);
                Self::Resign(answer)
            }
            Request::Close => Self::Nobody,
        }
    }

    /// A caller that has gone away needs no answer.
    fn deliver(self) {
        match self {
            Self::Commit(answer, outcome) => drop(answer.send(outcome)),
            Self::Campaign(answer, outcome) => drop(answer.send(outcome)),
            Self::Resign(answer) => drop(answer.send(Ok(()))),
            Self::Nobody => {}
        }
    }

    /// Also what was refused is unavailable: it may have been refused because of a commit that failed.
    fn fail(self, error: &BoxError) {
        match self {
            Self::Commit(answer, _) => drop(answer.send(Err(unavailable("commit", error)))),
            Self::Campaign(answer, _) => drop(answer.send(Err(unavailable("campaign", error)))),
            Self::Resign(answer) => drop(answer.send(Err(unavailable("resign", error)))),
            Self::Nobody => {}
        }
    }
}

impl Request {
    fn fail(self, error: &BoxError) {
        match self {
            Self::Commit(_, answer) => drop(answer.send(Err(unavailable("commit", error)))),
            Self::Campaign { answer, .. } => drop(answer.send(Err(unavailable("campaign", error)))),
            Self::Resign { answer, .. } => drop(answer.send(Err(unavailable("resign", error)))),
            Self::Close => {}
        }
    }
}

/// One failure has many callers, and each gets its words; the log has the whole of it.
fn unavailable(operation: &'static str, error: &BoxError) -> StoreError {
    let problem = error.to_string();
    let source = if is_full(&**error) { DiskFull { problem }.into() } else { problem.into() };
    StoreError::Unavailable { operation, source }
}

/// Whether SQLite found no room: for a page, or for the index of its log.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    const FULL: &str = "13";
    const NO_ROOM_FOR_INDEX: &str = "4874";
    let error = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    error.and_then(|error| error.code()).is_some_and(|code| [FULL, NO_ROOM_FOR_INDEX].contains(&&*code))
}
