mod incoming;
mod outgoing;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Method};
use tokio::time::Instant;

use self::incoming::Incoming;
use self::outgoing::Outgoing;
use super::call::{Caller, Fault};
use super::{Credential, Endpoint, RemoteOptions};
use crate::error::{BoxError, StoreError};
use crate::port::{Blob, BlobError, BlobReader, Blobs};
use crate::time::Timestamp;
use crate::value::Digest;
use crate::wire::WireError;
use crate::wire::peer::{BlobRefusal, Found, decode, decode_page};

/// Blobs in another process. Cloning shares its connections.
///
/// Content passes through as it is read and written, so that a blob costs the same memory however large it is.
/// There is no limit to the time that takes; it fails with `Unavailable` when nothing moves for the
/// [`patience`](RemoteOptions::patience), or when the server takes more than ten
/// [`deadline`](RemoteOptions::deadline)s to make a whole blob durable. Everything else has that deadline.
///
/// Nobody else's word is believed for the digest of content that is put: the store at the other end
/// computes it. A reader believes the server, which verifies what it reads.
#[derive(Clone)]
pub struct RemoteBlobs {
    caller: Arc<Caller>,
    /// A put cannot be repeated, so it takes no connection that the server may be about to close.
    fresh: Arc<Caller>,
}

impl fmt::Debug for RemoteBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteBlobs").field("endpoint", &self.caller.endpoint).finish_non_exhaustive()
    }
}

impl RemoteBlobs {
    /// The blobs that are served at `endpoint`. Nothing is sent yet, so the server need not be there.
    ///
    /// # Errors
    /// The system's part of an HTTP client cannot be made.
    pub fn connect(endpoint: Endpoint, credential: Credential, options: RemoteOptions) -> Result<Self, StoreError> {
        let fresh = Caller::fresh(endpoint.clone(), credential.clone(), options.clone())?;
        let caller = Caller::new(endpoint, credential, options)?;
        Ok(Self { caller: Arc::new(caller), fresh: Arc::new(fresh) })
    }

    async fn ask(&self, operation: &'static str, method: Method, path: &str) -> Result<String, BlobError> {
        let asked = self.caller.within(self.caller.ask(method, path, None)).await;
        asked.map_err(|fault| failed(operation, fault))
    }

    async fn send(&self, expected: Option<Digest>, content: Outgoing) -> Result<String, Fault> {
        let path = match expected {
            Some(expected) => format!("blobs?expected={expected}"),
            None => String::from("blobs"),
        };
        let request = self.fresh.request(Method::POST, &path);
        let request = request.header(CONTENT_TYPE, "application/octet-stream").body(Body::wrap(content));
        let response = self.fresh.send(request).await?;
        self.fresh.read(response).await
    }
}

const PUT: &str = "put";

#[async_trait]
impl Blobs for RemoteBlobs {
    async fn put(&self, content: BlobReader, expected: Option<Digest>) -> Result<Blob, BlobError> {
        let (content, progress) = Outgoing::new(content);
        let answer = tokio::select! {
            answer = self.send(expected, content) => answer,
            problem = progress.stalled(&self.fresh.options) => Err(Fault::Lost(self.fresh.trouble(problem))),
        };
        if let Some(source) = progress.failure() {
            return Err(unavailable(PUT, source));
        }
        let answer = answer.map_err(|fault| failed(PUT, fault))?;
        decode("blob", &answer).map_err(unreadable(PUT))
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        const OPEN: &str = "open";
        let path = format!("blobs/{digest}");
        let deadline = Instant::now() + self.caller.options.deadline;
        let response = self.caller.until(deadline, self.caller.open(Method::GET, &path, None)).await;
        let response = response.map_err(|fault| failed(OPEN, fault))?;
        Ok(Box::new(Incoming::new(Body::from(response), digest, self.caller.options.patience)))
    }

    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError> {
        const STAT: &str = "stat";
        let answer = self.ask(STAT, Method::GET, &format!("blobs/{digest}/stat")).await?;
        let Found { blob } = decode("found", &answer).map_err(unreadable(STAT))?;
        Ok(blob)
    }

    async fn remove(&self, digest: Digest, put_before: Timestamp) -> Result<(), BlobError> {
        let path = format!("blobs/{digest}?put_before={}", put_before.as_millis());
        self.ask("remove", Method::DELETE, &path).await.map(drop)
    }

    async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<Blob>, BlobError> {
        const LIST: &str = "list";
        let (mut listed, mut after): (Vec<Blob>, _) = (Vec::new(), after);
        // The server gives fewer than it is asked for if that is a lot.
        while listed.len() < limit {
            let mut path = format!("blobs?limit={}", limit - listed.len());
            if let Some(after) = after {
                path.push_str(&format!("&after={after}"));
            }
            let answer = self.ask(LIST, Method::GET, &path).await?;
            let (page, opaque) = decode_page::<Blob>("blobs", &answer).map_err(unreadable(LIST))?;
            if let Some(problem) = opaque.into_iter().next() {
                return Err(unreadable(LIST)(problem));
            }
            let Some(last) = page.entries.last() else { break };
            after = Some(last.digest);
            listed.extend(page.entries);
        }
        Ok(listed)
    }
}

fn unavailable(operation: &'static str, source: impl Into<BoxError>) -> BlobError {
    BlobError::Unavailable { operation, source: source.into() }
}

fn unreadable(operation: &'static str) -> impl Fn(WireError) -> BlobError {
    move |error| unavailable(operation, error)
}

fn failed(operation: &'static str, fault: Fault) -> BlobError {
    let problem = match fault {
        Fault::Broken(trouble) | Fault::Lost(trouble) => return unavailable(operation, trouble),
        Fault::Refused(problem) => problem,
    };
    if let Some(error) = &problem.error
        && let Ok(refusal) = decode::<BlobRefusal>("refusal", error.get())
    {
        return refusal.into_error(operation);
    }
    match problem.into_error(operation) {
        StoreError::Unavailable { source, .. } => unavailable(operation, source),
        error => unavailable(operation, error),
    }
}
