//! Blobs for other processes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use futures::{StreamExt, ready, stream};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::gate::Gate;
use super::read::{parse, query};
use super::{answer, typed};
use crate::error::StoreError;
use crate::link::Silence;
use crate::port::{BlobError, BlobReader, Blobs, Page, Store};
use crate::server::Authenticator;
use crate::server::problem::Refused;
use crate::time::{Clock, SystemClock, Timestamp};
use crate::value::Digest;
use crate::wire::peer::{DAMAGED, Found, NO_MORE, encode, encode_page};

/// How [`blob_routes`] behave. The default is for production.
#[derive(Debug, Clone)]
pub struct BlobOptions {
    clock: Arc<dyn Clock>,
    most_bytes: u64,
    silence: Duration,
    transfers: usize,
}

impl Default for BlobOptions {
    fn default() -> Self {
        let silence = Duration::from_secs(120);
        Self { clock: Arc::new(SystemClock), most_bytes: 16 << 30, silence, transfers: 256 }
    }
}

impl BlobOptions {
    /// Lets tokens expire by another clock than the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes no blob of more bytes than this; 16 GiB by default.
    #[must_use]
    pub fn with_most_bytes(mut self, most: u64) -> Self {
        self.most_bytes = most;
        self
    }

    /// Gives up a put on which nothing arrives for this long; 2 minutes by default.
    #[must_use]
    pub fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Moves at most this many blobs at the same time, of which each takes about half a mebibyte of memory; 256
    /// by default.
    #[must_use]
    pub fn with_transfers(mut self, most: usize) -> Self {
        self.transfers = most;
        self
    }
}

struct Shop<S> {
    gate: Gate<S>,
    blobs: Arc<dyn Blobs>,
    options: BlobOptions,
    transfers: Arc<Semaphore>,
}

/// The routes of [`Blobs`], below `/peer/v1/blobs`, to merge with those of a [`router`](super::router).
///
/// | Request | Port | Who may |
/// |---|---|---|
/// | `POST blobs?expected=` | [`Blobs::put`] | the trusted, nodes |
/// | `GET blobs/{digest}` | [`Blobs::open`] | the trusted, nodes |
/// | `GET blobs/{digest}/stat` | [`Blobs::stat`] | the trusted, nodes |
/// | `GET blobs?after=&limit=` | [`Blobs::list`] | the trusted, nodes |
/// | `DELETE blobs/{digest}?put_before=` | [`Blobs::remove`] | the trusted |
///
/// Content is passed on as it comes, in both directions, so that a blob costs the same memory however large it
/// is.
pub fn blob_routes<S: Store + 'static>(
    store: Arc<S>,
    blobs: Arc<dyn Blobs>,
    authenticator: Arc<dyn Authenticator>,
    options: BlobOptions,
) -> Router {
    let transfers = Arc::new(Semaphore::new(options.transfers.min(Semaphore::MAX_PERMITS)));
    let gate = Gate::new(store, authenticator, options.clock.clone());
    let shop = Arc::new(Shop { gate, blobs, options, transfers });
    Router::new()
        .route("/peer/v1/blobs", post(put::<S>).get(list::<S>))
        .route("/peer/v1/blobs/{digest}", get(open::<S>).delete(remove::<S>))
        .route("/peer/v1/blobs/{digest}/stat", get(stat::<S>))
        .with_state(shop)
}

type Answer = Result<Response<Body>, Refused>;

impl<S: Store> Shop<S> {
    async fn admit(&self, operation: &'static str, head: &Parts) -> Result<(), Refused> {
        let pass = self.gate.pass(operation, head).await?;
        pass.may_move_blobs().map_err(|denial| Refused::denied(operation, denial))
    }

    fn transfer(&self, operation: &'static str) -> Result<OwnedSemaphorePermit, Refused> {
        let permit = self.transfers.clone().try_acquire_owned();
        permit.map_err(|_| Refused::unavailable(operation, "too many blobs are being moved"))
    }
}

#[derive(Deserialize)]
struct PutQuery {
    expected: Option<String>,
}

async fn put<S: Store>(State(shop): State<Arc<Shop<S>>>, request: Request) -> Answer {
    const PUT: &str = "put";
    let (head, body) = request.into_parts();
    shop.admit(PUT, &head).await?;
    let expected = query::<PutQuery>(PUT, &head)?.expected;
    let expected = expected.map(|digest| parse::<Digest>(PUT, "expected", &digest)).transpose()?;
    let _permit = shop.transfer(PUT)?;
    let content = Incoming::new(body, &shop.options);
    let blob = shop.blobs.put(Box::new(content), expected).await.map_err(|error| Refused::blob(PUT, &error))?;
    answer(PUT, encode("blob", &blob))
}

#[derive(Deserialize)]
struct ListQuery {
    after: Option<String>,
    limit: usize,
}

/// The most entries of a list.
const MOST_BLOBS: usize = 10_000;

async fn list<S: Store>(State(shop): State<Arc<Shop<S>>>, head: Parts) -> Answer {
    const LIST: &str = "list";
    shop.admit(LIST, &head).await?;
    let asked = query::<ListQuery>(LIST, &head)?;
    let after = asked.after.map(|digest| parse::<Digest>(LIST, "after", &digest)).transpose()?;
    let listed = shop.blobs.list(after, asked.limit.min(MOST_BLOBS)).await;
    let entries = listed.map_err(|error| Refused::blob(LIST, &error))?;
    answer(LIST, encode_page("blobs", &Page { entries, next: None }))
}

async fn stat<S: Store>(State(shop): State<Arc<Shop<S>>>, Path(digest): Path<String>, head: Parts) -> Answer {
    const STAT: &str = "stat";
    shop.admit(STAT, &head).await?;
    let found = shop.blobs.stat(parse(STAT, "digest", &digest)?).await;
    answer(STAT, encode("found", &Found { blob: found.map_err(|error| Refused::blob(STAT, &error))? }))
}

async fn open<S: Store>(State(shop): State<Arc<Shop<S>>>, Path(digest): Path<String>, head: Parts) -> Answer {
    const OPEN: &str = "open";
    shop.admit(OPEN, &head).await?;
    let digest = parse(OPEN, "digest", &digest)?;
    let permit = shop.transfer(OPEN)?;
    let reader = shop.blobs.open(digest).await.map_err(|error| Refused::blob(OPEN, &error))?;
    Ok(typed("application/octet-stream", outgoing(reader, permit)))
}

#[derive(Deserialize)]
struct RemoveQuery {
    put_before: u64,
}

async fn remove<S: Store>(State(shop): State<Arc<Shop<S>>>, Path(digest): Path<String>, head: Parts) -> Answer {
    const REMOVE: &str = "remove";
    let pass = shop.gate.pass(REMOVE, &head).await?;
    pass.may_remove_blobs().map_err(|denial| Refused::denied(REMOVE, denial))?;
    let put_before = Timestamp::from_millis(query::<RemoveQuery>(REMOVE, &head)?.put_before);
    let removed = shop.blobs.remove(parse(REMOVE, "digest", &digest)?, put_before).await;
    removed.map_err(|error| Refused::blob(REMOVE, &error))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// What is read and sent at a time.
const PIECE: usize = 256 << 10;

/// The content of a blob in pieces, made as fast as they are read.
fn outgoing(reader: BlobReader, permit: OwnedSemaphorePermit) -> Body {
    let pieces = stream::unfold(Some((reader, permit)), |state| async move {
        let (mut reader, permit) = state?;
        let mut piece = Vec::with_capacity(4 + PIECE);
        piece.extend_from_slice(&[0; 4]);
        loop {
            match reader.read_buf(&mut piece).await {
                Ok(0) => break,
                Ok(_) if piece.len() < piece.capacity() => {}
                Ok(_) => {
                    head(&mut piece);
                    return Some((Ok(Bytes::from(piece)), Some((reader, permit))));
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::error!(%error, "peer: a blob is damaged");
                    piece.clear();
                    piece.extend_from_slice(&DAMAGED.to_be_bytes());
                    return Some((Ok(Bytes::from(piece)), None));
                }
                // The connection is broken off, so that the other end does not take this for the end.
                Err(error) => return Some((Err(error), None)),
            }
        }
        if piece.len() > 4 {
            head(&mut piece);
        } else {
            piece.clear();
        }
        piece.extend_from_slice(&NO_MORE.to_be_bytes());
        Some((Ok(Bytes::from(piece)), None))
    });
    Body::from_stream(pieces)
}

fn head(piece: &mut [u8]) {
    // A piece has no more than `PIECE` bytes.
    let length = (piece.len() - 4) as u32;
    piece[..4].copy_from_slice(&length.to_be_bytes());
}

/// What arrives, as a reader.
struct Incoming {
    body: BodyDataStream,
    chunk: Bytes,
    left: u64,
    silence: Silence,
}

impl Incoming {
    fn new(body: Body, options: &BlobOptions) -> Self {
        let silence = Silence::new(options.silence);
        Self { body: body.into_data_stream(), chunk: Bytes::new(), left: options.most_bytes, silence }
    }
}

impl AsyncRead for Incoming {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.chunk.is_empty() {
            let Poll::Ready(next) = self.body.poll_next_unpin(cx) else {
                ready!(self.silence.poll(cx));
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing arrived for too long")));
            };
            let Some(chunk) =
                next.transpose().map_err(|error| io::Error::new(io::ErrorKind::ConnectionReset, error))?
            else {
                return Poll::Ready(Ok(()));
            };
            let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than blobs may be")));
            };
            self.silence.broken();
            (self.chunk, self.left) = (chunk, left);
        }
        let length = self.chunk.len().min(into.remaining());
        into.put_slice(&self.chunk.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl Refused {
    fn blob(operation: &'static str, error: &BlobError) -> Self {
        match error {
            BlobError::NotFound { .. } => Self::of_blob(StatusCode::NOT_FOUND, "not_found", error),
            BlobError::Corrupt { .. } => Self::of_blob(StatusCode::UNPROCESSABLE_ENTITY, "corrupt", error),
            BlobError::Unavailable { source, .. } => {
                let source = crate::error::Chain(&**source).to_string();
                StoreError::Unavailable { operation, source: source.into() }.into()
            }
        }
    }
}
