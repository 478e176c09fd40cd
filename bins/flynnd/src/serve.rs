//! Serves HTTP to the network and to the processes of this machine.

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

use crate::closing::Closing;

/// Connections at a time of each listener; further ones wait.
const CONNECTIONS: usize = 4_096;
/// The time for the head of a request, also that for the next one on an open connection.
const HEAD_TIME: Duration = Duration::from_secs(60);
const HEAD_FIELDS: usize = 100;
const HEAD_BYTES: usize = 64 << 10;
/// How long requests may go on after the end of service has begun.
const DRAIN: Duration = Duration::from_secs(10);
/// How long accepting pauses when the operating system has no more to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the clients of a port until the end of service.
pub(crate) async fn network(listener: TcpListener, routes: Router, closing: Closing) {
    let accept = async || {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, None))
    };
    serve(accept, routes, closing).await;
}

/// Serves the processes of this machine until the end of service. Each request says which user's it is.
pub(crate) async fn machine(listener: UnixListener, routes: Router, closing: Closing) {
    let accept = async || {
        let (stream, _) = listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        Ok((stream, Some(PeerUid(uid))))
    };
    serve(accept, routes, closing).await;
}

async fn serve<S>(accept: impl AsyncFn() -> std::io::Result<(S, Option<PeerUid>)>, routes: Router, closing: Closing)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
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
            (Ok((stream, peer)), Ok(place)) => {
                drop(clients.spawn(serve_client(stream, peer, routes.clone(), closing.clone(), place)));
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
    closing: Closing,
    _place: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        // Nobody but the kernel says who is at the other end.
        request.extensions_mut().remove::<PeerUid>();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let mut routes = routes.clone();
        async move { tower_service::Service::call(&mut routes, request.map(Body::new)).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(HEAD_FIELDS)
        .max_buf_size(HEAD_BYTES)
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
