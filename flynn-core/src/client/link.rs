//! The way that a node keeps open to the control plane.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONNECTION, UPGRADE};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, copy_buf, split};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::call::{Caller, Fault};
use super::lines::Lines;
use super::{Credential, Endpoint, RemoteOptions};
use crate::error::{Chain, StoreError};
use crate::noun::NodeId;
use crate::port::{Duplex, LinkError, LinkHandler, LinkRequest};
use crate::wire::peer::{WayLine, WayRefusal, encode};

/// The first wait before a hub is dialled again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What a node has open at the same time.
const MOST_OPEN: usize = 1_024;
/// How much of what is read from one side waits for the other.
const BUFFER: usize = 16 << 10;

/// Keeps a way open from `node` to the hub at `endpoint`, and opens with `handler` what is asked for on it, until
/// `stop`. A way that breaks, or on which nothing is heard, is dialled again; what was opened lasts as long as its
/// own connection. When this returns, or is dropped, everything that was opened is closed.
///
/// # Errors
/// The system's part of an HTTP client cannot be made. Whatever is wrong with the hub or the credential is
/// logged, and tried again.
pub async fn serve(
    endpoint: Endpoint,
    credential: Credential,
    options: RemoteOptions,
    node: NodeId,
    handler: Arc<dyn LinkHandler>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), StoreError> {
    let caller = Arc::new(Caller::new(endpoint, credential, options)?);
    let room = Arc::new(Semaphore::new(MOST_OPEN));
    let mut agent = Agent { caller, node, handler, open: JoinSet::new(), by_id: HashMap::new(), room };
    let mut stop = pin!(stop);
    let mut wait = FIRST_WAIT;
    loop {
        let mut welcomed = false;
        let fault = tokio::select! {
            fault = agent.follow(&mut welcomed) => fault,
            () = &mut stop => break,
        };
        let error = Chain(&fault.into_error("link")).to_string();
        tracing::warn!(%node, error, "link: the way ended, dialling again");
        if welcomed {
            wait = FIRST_WAIT;
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = &mut stop => break,
        }
        wait = LONGEST_WAIT.min(wait * 2);
    }
    agent.open.shutdown().await;
    Ok(())
}

struct Agent {
    caller: Arc<Caller>,
    node: NodeId,
    handler: Arc<dyn LinkHandler>,
    open: JoinSet<()>,
    by_id: HashMap<Uuid, AbortHandle>,
    room: Arc<Semaphore>,
}

impl Agent {
    /// Serves one way to its end, and says why it ended.
    async fn follow(&mut self, welcomed: &mut bool) -> Fault {
        match self.follow_on(welcomed).await {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    async fn follow_on(&mut self, welcomed: &mut bool) -> Result<std::convert::Infallible, Fault> {
        let caller = self.caller.clone();
        let deadline = Instant::now() + caller.options.deadline;
        let path = format!("link/{}", self.node);
        let response = caller.until(deadline, caller.open(Method::GET, &path, None)).await?;
        let mut lines = Lines::new(caller.clone(), response);
        let patience = caller.options.patience;
        let silent = || Fault::Lost(caller.trouble(format!("was silent for {patience:?}")));
        let first = timeout(patience, lines.next::<WayLine>()).await.map_err(|_| silent())??;
        let WayLine::Welcome { session, beat } = first else {
            return Err(Fault::Lost(caller.trouble("did not begin with a welcome")));
        };
        *welcomed = true;
        tracing::debug!(node = %self.node, "link: the way is open");
        let mut beating = pin!(beat_on(&caller, self.node, session, beat));
        let mut heard = Instant::now();
        loop {
            // What has ended is taken out, so that it is not kept for ever.
            if self.open.try_join_next().is_some() {
                while self.open.try_join_next().is_some() {}
                self.by_id.retain(|_, task| !task.is_finished());
            }
            let line = tokio::select! {
                line = lines.next::<WayLine>() => line?,
                fault = &mut beating => return Err(fault),
                () = tokio::time::sleep_until(heard + patience) => return Err(silent()),
            };
            heard = Instant::now();
            match line {
                WayLine::Open { id, request } => self.begin(id, Ok(request)),
                WayLine::Opaque { id, problem } => self.begin(id, Err(LinkError::Refused { problem })),
                WayLine::Close { id } => drop(self.by_id.remove(&id).map(|task| task.abort())),
                WayLine::End(reason) => return Err(Fault::Broken(caller.trouble(format!("ended the way: {reason}")))),
                WayLine::Beat | WayLine::Welcome { .. } | WayLine::Later(_) => {}
            }
        }
    }

    fn begin(&mut self, id: Uuid, request: Result<LinkRequest, LinkError>) {
        let full = || LinkError::Unavailable { problem: String::from("too much is open on this node") };
        let request = request.and_then(|request| {
            let permit = self.room.clone().try_acquire_owned().map_err(|_| full())?;
            Ok((request, permit))
        });
        let answering = Answering { caller: self.caller.clone(), node: self.node, id };
        let handler = self.handler.clone();
        let task = self.open.spawn(async move { answering.run(handler, request).await });
        self.by_id.insert(id, task);
    }
}

/// Beats as often as it is asked to, and says when that is refused.
async fn beat_on(caller: &Caller, node: NodeId, session: Uuid, every: Duration) -> Fault {
    let path = format!("link/{node}/beat?session={session}");
    loop {
        sleep(every).await;
        let beat = caller.until(Instant::now() + every, caller.ask(Method::POST, &path, None)).await;
        match beat {
            Ok(_) => {}
            Err(fault @ Fault::Refused(_)) => return fault,
            // One beat may be lost; if all are, the hub ends the way.
            Err(fault) => {
                let error = Chain(&fault.into_error("link")).to_string();
                tracing::debug!(error, "link: a beat was lost");
            }
        }
    }
}

/// One request of the hub.
struct Answering {
    caller: Arc<Caller>,
    node: NodeId,
    id: Uuid,
}

impl Answering {
    async fn run(self, handler: Arc<dyn LinkHandler>, request: Result<(LinkRequest, OwnedSemaphorePermit), LinkError>) {
        let opened = match request {
            Ok((request, permit)) => handler.open(request).await.map(|opened| (opened, permit)),
            Err(error) => Err(error),
        };
        let answered = match opened {
            Ok((opened, _permit)) => self.dial(opened).await,
            Err(error) => self.refuse(error).await,
        };
        if let Err(fault) = answered {
            // Whoever asked has hung up, or is told by their side of the way.
            let error = Chain(&fault.into_error("link")).to_string();
            tracing::debug!(id = %self.id, error, "link: a request was not answered");
        }
    }

    async fn dial(&self, opened: Box<dyn Duplex>) -> Result<(), Fault> {
        let path = format!("link/{}/{}", self.node, self.id);
        let request = self.caller.request(Method::POST, &path);
        let request = request.header(CONNECTION, "upgrade").header(UPGRADE, "flynn-link");
        let upgraded = async {
            let response = self.caller.send(request).await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Err(Fault::Lost(self.caller.trouble("does not support upgrades")));
            }
            response.upgrade().await.map_err(|error| Fault::Broken(self.caller.broken(error)))
        };
        let upgraded = self.caller.within(upgraded).await?;
        join(opened, upgraded).await;
        Ok(())
    }

    async fn refuse(&self, error: LinkError) -> Result<(), Fault> {
        let refusal = match error {
            LinkError::NotFound(job) => WayRefusal::NotFound { job },
            LinkError::Refused { problem } => WayRefusal::Refused { problem },
            LinkError::Unavailable { problem } => WayRefusal::Unavailable { problem },
            error @ (LinkError::Unreachable(_) | LinkError::Broken(_)) => {
                WayRefusal::Unavailable { problem: Chain(&error).to_string() }
            }
        };
        let body = encode("refusal", &refusal)
            .map_err(|error| Fault::Lost(self.caller.trouble(format!("cannot be told: {}", Chain(&error)))))?;
        let path = format!("link/{}/{}/refusal", self.node, self.id);
        self.caller.within(self.caller.ask(Method::POST, &path, Some(body))).await.map(drop)
    }
}

/// Passes bytes on until either side has ended. The hub's end means that its opener has hung up; after the end of
/// what was opened, what it said is delivered, and then the way ends too.
async fn join(opened: Box<dyn Duplex>, hub: impl Duplex) {
    let (from_opened, mut to_opened) = split(opened);
    let (mut from_hub, mut to_hub) = split(hub);
    let mut from_opened = BufReader::with_capacity(BUFFER, from_opened);
    let inward = async {
        let (mut buffer, mut deaf) = (vec![0; BUFFER], false);
        loop {
            match from_hub.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let written = async {
                        if deaf {
                            return Ok(());
                        }
                        to_opened.write_all(&buffer[..count]).await?;
                        to_opened.flush().await
                    };
                    // What takes no more may still have something to say.
                    deaf = deaf || written.await.is_err();
                }
            }
        }
    };
    let outward = async {
        let _ = copy_buf(&mut from_opened, &mut to_hub).await;
        let _ = to_hub.shutdown().await;
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}
