use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flynn_core::Clock;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::ProxySettings;
use super::balance::Dice;
use super::counts::{Counts, Meters};
use super::gate::{Gate, GateSettings, HURRIED, HeadLimits};
use super::handler::{Ends, Shared};
use super::link::Link;
use super::upstream::Drivers;
use crate::access::AccessLog;
use crate::table::RouteTable;

/// How long accepting pauses when the operating system has no more to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An HTTP proxy. Cloning shares it, with its connections to instances.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    /// How many listeners are being served.
    serving: Arc<AtomicUsize>,
}

/// What all connections of a listener are told.
#[derive(Debug, Clone, Copy)]
enum Word {
    Serve,
    /// Other clients wait for a place.
    MakeRoom,
    Stop,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Clients that were cut off because their requests went on after the time for draining.
    pub cut: usize,
}

impl Proxy {
    /// A proxy that looks routes up in `table` and reports its requests to `log`.
    pub fn new(
        table: Arc<dyn RouteTable>,
        log: Arc<dyn AccessLog>,
        clock: Arc<dyn Clock>,
        settings: ProxySettings,
    ) -> Self {
        let dice = Dice::new(settings.seed);
        let (drivers, meters) = (Drivers::default(), Meters::default());
        let shared = Shared { table, log, clock, settings, dice, drivers, meters };
        Self { shared: Arc::new(shared), serving: Arc::default() }
    }

    /// What was counted since the proxy was made.
    pub fn counts(&self) -> Counts {
        self.shared.meters.read()
    }

    /// Serves the clients of `listener` until `stop`. Then it takes no more, closes idle connections, lets
    /// running requests end, and cuts off what is left after the time for draining.
    ///
    /// Dropped earlier, it cuts everything off at once.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) -> Drained {
        self.serving.fetch_add(1, Ordering::SeqCst);
        let mut clients = JoinSet::new();
        let word = watch::Sender::new(Word::Serve);
        tokio::select! {
            () = self.accept(&listener, &mut clients, &word) => {}
            () = stop => {}
        }
        drop(listener);
        word.send_replace(Word::Stop);
        let all_gone = async { while clients.join_next().await.is_some() {} };
        let _ = timeout(self.shared.settings.drain, all_gone).await;
        let cut = clients.len();
        clients.shutdown().await;
        if self.serving.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.drivers.close().await;
        }
        Drained { cut }
    }

    async fn accept(&self, listener: &TcpListener, clients: &mut JoinSet<()>, word: &watch::Sender<Word>) {
        let places = Arc::new(Semaphore::new(self.shared.settings.connections));
        loop {
            let Some(place) = self.place(&places, word).await else { return };
            let stream = match listener.accept().await {
                Ok((stream, client)) => stream.local_addr().map(|local| (stream, Ends { client, local })),
                Err(error) => Err(error),
            };
            while clients.try_join_next().is_some() {}
            match stream {
                Ok((stream, ends)) => {
                    let client = serve_client(self.shared.clone(), stream, ends, word.subscribe());
                    let open = Meters::open(&self.shared);
                    clients.spawn(async move {
                        client.await;
                        drop((place, open));
                    });
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "proxy: accept failed");
                    word.send_replace(Word::MakeRoom);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A place for one more client, as soon as there is one.
    async fn place(&self, places: &Arc<Semaphore>, word: &watch::Sender<Word>) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Some(place);
        }
        self.shared.meters.crowded();
        loop {
            word.send_replace(Word::MakeRoom);
            if let Ok(place) = timeout(HURRIED, places.clone().acquire_owned()).await {
                return place.ok();
            }
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

async fn serve_client(shared: Arc<Shared>, stream: TcpStream, ends: Ends, mut word: watch::Receiver<Word>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "proxy: the client was gone at once");
        return;
    }
    let ProxySettings { head_bytes, head_fields, head_time, keep_alive, idle, .. } = shared.settings;
    let limits = HeadLimits { bytes: head_bytes, fields: head_fields };
    let settings = GateSettings { limits, head: head_time, keep_alive, write: idle };
    let link = Arc::new(Link::default());
    let gate = Gate::new(stream, link.clone(), settings);
    let (answering, sharing) = (link.clone(), shared.clone());
    let service = service_fn(move |request| {
        let answer = sharing.clone().answer(answering.clone(), ends, request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .max_buf_size(head_bytes.max(8 << 10) + (64 << 10))
        .max_headers(head_fields)
        .serve_connection(gate, service)
        .with_upgrades();
    tokio::pin!(connection);
    let stop = async {
        while word.changed().await.is_ok() {
            match *word.borrow_and_update() {
                Word::Serve => {}
                Word::MakeRoom => link.hurry(),
                Word::Stop => break,
            }
        }
    };
    let served = tokio::select! {
        served = &mut connection => served,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        if error.is_parse() && link.spoiled().is_none() {
            shared.record_unreadable(ends);
        }
        tracing::debug!(error = &error as &dyn std::error::Error, client = %ends.client, "proxy: a connection broke off");
    }
    if let Some(tunnel) = link.take_tunnel() {
        tunnel.await;
    }
}

/// Whether an error of accept concerns the client at the head of the queue alone.
fn is_of_one_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
