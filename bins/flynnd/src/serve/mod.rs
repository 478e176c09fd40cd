//! Serves HTTP to the network and to the processes of this machine.

mod body;
mod head;
mod limits;
mod peers;

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use flynn_core::server::PeerUid;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::body::Paced;
use self::head::{Heads, Watched};
pub(crate) use self::limits::Limits;
use self::peers::{Peer, Peers};
use crate::closing::Closing;

/// How long requests may go on after the end of service has begun.
const DRAIN: Duration = Duration::from_secs(10);
/// How long accepting pauses when the operating system has no more to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a connection comes from.
enum Origin {
    Network(IpAddr),
    Machine(PeerUid),
}

/// Serves the clients of a port until the end of service.
pub(crate) async fn network(listener: TcpListener, routes: Router, limits: Limits, closing: Closing) {
    let accept = async || {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Origin::Network(peer.ip().to_canonical())))
    };
    serve(accept, routes, limits, closing).await;
}

/// Serves the processes of this machine until the end of service. Each request says which user's it is.
pub(crate) async fn machine(listener: UnixListener, routes: Router, limits: Limits, closing: Closing) {
    let accept = async || {
        let (stream, _) = listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        Ok((stream, Origin::Machine(PeerUid(uid))))
    };
    serve(accept, routes, limits, closing).await;
}

async fn serve<S>(
    accept: impl AsyncFn() -> std::io::Result<(S, Origin)>,
    routes: Router,
    limits: Limits,
    closing: Closing,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (places, peers) = (std::sync::Arc::new(Semaphore::new(limits.connections)), Peers::default());
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = closing.begun() => break,
            Some(_) = clients.join_next() => continue,
            accepted = async {
                let place = places.clone().acquire_owned().await;
                (accept().await, place)
            } => accepted,
        };
        match accepted {
            (Ok((stream, origin)), Ok(place)) => {
                let (peer, counted) = match origin {
                    Origin::Machine(peer) => (Some(peer), None),
                    Origin::Network(address) => match peers.admit(address, limits.per_address) {
                        Some(counted) => (None, Some(counted)),
                        // Hung up on; there is nothing to say to who asks so much.
                        None => continue,
                    },
                };
                let held = (place, counted);
                drop(clients.spawn(serve_client(stream, peer, routes.clone(), limits, closing.clone(), held)));
            }
            (Err(error), _) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
            (_, Err(_)) => break,
        }
    }
    let all_gone = async { while clients.join_next().await.is_some() {} };
    if timeout(DRAIN, all_gone).await.is_err() {
        tracing::info!(count = clients.len(), "requests that went on for too long are cut off");
    }
    clients.shutdown().await;
}

async fn serve_client<S>(
    stream: S,
    peer: Option<PeerUid>,
    routes: Router,
    limits: Limits,
    closing: Closing,
    _held: (OwnedSemaphorePermit, Option<Peer>),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let heads = Heads::default();
    let stream = Watched::new(stream, heads.clone(), limits.head);
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        let answering = heads.complete();
        // Nobody but the kernel says who is at the other end.
        request.extensions_mut().remove::<PeerUid>();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let mut routes = routes.clone();
        async move {
            let request = request.map(|body| Body::new(Paced::new(body, limits.body)));
            let answer = tower_service::Service::call(&mut routes, request).await;
            answer.map(|answer| answering.until_sent(answer))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_headers(limits.head_fields)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = closing.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests;
