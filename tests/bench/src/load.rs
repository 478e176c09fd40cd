//! Requests at a fixed rate, whatever becomes of those before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// What is sent, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// The router.
    pub(crate) router: SocketAddr,
    /// The host that is asked for.
    pub(crate) host: String,
    /// Requests in a second.
    pub(crate) rate: u32,
    /// The path that is asked for, and that which takes long to answer.
    pub(crate) paths: Paths,
}

/// The paths that requests go to.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Answered at once.
    pub(crate) quick: &'static str,
    /// Answered after some seconds.
    pub(crate) slow: &'static str,
}

/// What became of all requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many were sent.
    pub(crate) sent: u64,
    /// How many were answered with a status from 200 to 299, to the end.
    pub(crate) answered: u64,
    /// What became of the others.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Tally {
    /// How many requests were not answered as they should.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    KeepAlive,
    FreshConnection,
    Slow,
}

impl Kind {
    /// Of ten requests one is slow and three come over a connection of their own.
    fn of(number: u64) -> Self {
        match number % 10 {
            0 => Self::Slow,
            1 | 4 | 7 => Self::FreshConnection,
            _ => Self::KeepAlive,
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

type Connection = SendRequest<Empty<Bytes>>;

/// Sends requests until `stop`, and waits for the last answer.
pub(crate) async fn run(load: Load, mut stop: watch::Receiver<()>) -> Tally {
    let load = Arc::new(load);
    let idle = Arc::new(Mutex::new(Vec::new()));
    let mut tally = Tally::default();
    let mut requests = JoinSet::new();
    let mut ticks = interval(Duration::from_secs(1) / load.rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tokio::select! {
            biased;
            Err(_) = stop.changed() => break,
            Some(outcome) = requests.join_next() => count(&mut tally, outcome),
            _ = ticks.tick() => {
                requests.spawn(request(Arc::clone(&load), Kind::of(tally.sent), Arc::clone(&idle)));
                tally.sent += 1;
            }
        }
    }
    while let Some(outcome) = requests.join_next().await {
        count(&mut tally, outcome);
    }
    tally
}

fn count(tally: &mut Tally, outcome: Result<Result<(), String>, tokio::task::JoinError>) {
    match outcome {
        Ok(Ok(())) => tally.answered += 1,
        Ok(Err(failure)) => *tally.failures.entry(failure).or_default() += 1,
        Err(error) => *tally.failures.entry(error.to_string()).or_default() += 1,
    }
}

async fn request(load: Arc<Load>, kind: Kind, idle: Arc<Mutex<Vec<Connection>>>) -> Result<(), String> {
    let started = Instant::now();
    match timeout(PATIENCE, exchange(&load, kind, &idle)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(problem)) => Err(format!("{kind:?}: {problem}")),
        Err(_) => Err(format!("{kind:?}: no answer within {} s", started.elapsed().as_secs())),
    }
}

async fn exchange(load: &Load, kind: Kind, idle: &Mutex<Vec<Connection>>) -> Result<(), String> {
    let mut connection = match kind {
        Kind::FreshConnection => connect(load.router).await?,
        Kind::KeepAlive | Kind::Slow => match take(idle) {
            Some(connection) => connection,
            None => connect(load.router).await?,
        },
    };
    let path = if matches!(kind, Kind::Slow) { load.paths.slow } else { load.paths.quick };
    let head = Request::get(path).header("host", &load.host).body(Empty::new());
    let answer = connection.send_request(head.map_err(name)?).await.map_err(name)?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(name)?.to_bytes();
    if !status.is_success() {
        let start: String = String::from_utf8_lossy(&body).chars().take(120).collect();
        return Err(format!("{status} {start:?}"));
    }
    if !matches!(kind, Kind::FreshConnection) && connection.ready().await.is_ok() {
        idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
    Ok(())
}

/// An idle connection that the router has not closed.
fn take(idle: &Mutex<Vec<Connection>>) -> Option<Connection> {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    idle.retain(|connection| !connection.is_closed());
    idle.pop()
}

async fn connect(router: SocketAddr) -> Result<Connection, String> {
    let stream = TcpStream::connect(router).await.map_err(name)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(name)?;
    // It ends when its sender is dropped, or when the router closes it.
    tokio::spawn(connection);
    Ok(sender)
}

/// An error with all of its causes.
fn name(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
