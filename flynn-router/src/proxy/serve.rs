use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use flynn_core::Clock;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::balance::Dice;
use super::counts::{Counts, Meters};
use super::direct::{self, Remainder, Worker};
use super::gate::{Gate, GateSettings, HURRIED, HeadLimits};
use super::handler::{Ends, Shared};
use super::link::Link;
use super::town::Word;
use super::upstream::Drivers;
use super::{Engine, ProxySettings};
use crate::access::AccessLog;
use crate::table::RouteTable;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// How long accepting pauses when the operating system has no more to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An HTTP proxy. Cloning shares it, with its connections to instances.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    /// How many listeners are being served.
    serving: Arc<AtomicUsize>,
}

/// What is spoken below HTTP.
#[derive(Debug, Clone)]
enum Door {
    Plain,
    #[cfg(feature = "tls")]
    Secured(Tls),
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
        let (drivers, meters, towns) = (Drivers::default(), Meters::default(), Mutex::default());
        let places = Arc::new(Semaphore::new(settings.connections));
        let shared = Shared { table, log, clock, settings, dice, drivers, meters, places, towns };
        Self { shared: Arc::new(shared), serving: Arc::default() }
    }

    /// What was counted since the proxy was made.
    pub fn counts(&self) -> Counts {
        self.shared.meters.read()
    }

    /// Serves the clients of `listener` until `stop`. Then it takes no more, closes idle connections, lets
    /// running requests end, and cuts off what is left after the time for draining.
    ///
    /// A program with a thread for each core calls this once on each of them, with a listener and a runtime of its
    /// own: connections to instances are kept for each call by itself. All runtimes have to last until the last
    /// call has ended.
    ///
    /// Dropped earlier, it cuts everything off at once.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) -> Drained {
        self.serve_behind(Door::Plain, listener, stop).await
    }

    /// Serves the clients of `listener` over TLS, in the same way.
    #[cfg(feature = "tls")]
    pub async fn serve_tls(&self, tls: &Tls, listener: TcpListener, stop: impl Future<Output = ()>) -> Drained {
        self.serve_behind(Door::Secured(tls.clone()), listener, stop).await
    }

    async fn serve_behind(&self, door: Door, listener: TcpListener, stop: impl Future<Output = ()>) -> Drained {
        self.serving.fetch_add(1, Ordering::SeqCst);
        let mut clients = JoinSet::new();
        let worker = Arc::new(Worker::new(self.shared.clone()));
        self.shared.towns().push(Arc::downgrade(&worker.town));
        tokio::select! {
            () = self.accept(&door, &listener, &mut clients, &worker) => {}
            () = worker.sweep() => {}
            () = stop => {}
        }
        drop(listener);
        worker.town.stop();
        let all_gone = async { while clients.join_next().await.is_some() {} };
        let _ = timeout(self.shared.settings.drain, all_gone).await;
        let cut = clients.len();
        clients.shutdown().await;
        worker.close();
        self.shared.towns().retain(|town| town.as_ptr() != Arc::as_ptr(&worker.town));
        if self.serving.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.drivers.close().await;
        }
        Drained { cut }
    }

    async fn accept(&self, door: &Door, listener: &TcpListener, clients: &mut JoinSet<()>, worker: &Arc<Worker>) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, client)) => stream.local_addr().map(|local| (stream, Ends { client, local })),
                Err(error) => Err(error),
            };
            while clients.try_join_next().is_some() {}
            match stream {
                Ok((stream, ends)) => {
                    // A listener without clients holds no place that others could use.
                    let Some(place) = self.place().await else { return };
                    let client = door.clone().let_in(worker.clone(), stream, ends);
                    let open = Meters::open(&self.shared);
                    clients.spawn(async move {
                        client.await;
                        drop((place, open));
                    });
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "proxy: accept failed");
                    self.shared.make_room();
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A place for one more client, as soon as there is one.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let places = &self.shared.places;
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Some(place);
        }
        self.shared.meters.crowded();
        loop {
            self.shared.make_room();
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

impl Door {
    /// Serves a client from its connection to its end.
    async fn let_in(self, worker: Arc<Worker>, stream: TcpStream, ends: Ends) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = &error as &dyn std::error::Error, "proxy: the client was gone at once");
            return;
        }
        let (shared, town) = (worker.shared.clone(), worker.town.clone());
        match self {
            Self::Plain => {
                let rest = match shared.settings.engine {
                    Engine::Direct => direct::serve(worker, stream, ends).await,
                    Engine::Reference => Some(Remainder { stream, read: BytesMut::new() }),
                };
                if let Some(Remainder { stream, read }) = rest {
                    Box::pin(serve_reference(shared, stream, read, ends, town.subscribe(), |_| {})).await;
                }
            }
            #[cfg(feature = "tls")]
            Self::Secured(tls) => {
                Box::pin(super::secure::serve_secured(shared, tls, stream, ends, town.subscribe())).await
            }
        }
    }
}

/// Serves a client by the reference path, of which `read` came already. Each request is marked before it is looked at.
pub(super) async fn serve_reference<S>(
    shared: Arc<Shared>,
    stream: S,
    read: BytesMut,
    ends: Ends,
    mut word: watch::Receiver<Word>,
    mark: impl Fn(&mut Request<Incoming>) + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ProxySettings { head_bytes, head_fields, head_time, keep_alive, idle, .. } = shared.settings;
    let limits = HeadLimits { bytes: head_bytes, fields: head_fields };
    let settings = GateSettings { limits, head: head_time, keep_alive, write: idle };
    let link = Arc::new(Link::default());
    let gate = Gate::new(stream, read, link.clone(), settings);
    let (answering, sharing) = (link.clone(), shared.clone());
    let service = service_fn(move |mut request| {
        mark(&mut request);
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
        // It may have been called out before this connection listened.
        let mut last = *word.borrow_and_update();
        while last != Word::Stop && word.changed().await.is_ok() {
            last = *word.borrow_and_update();
            if last == Word::MakeRoom {
                link.hurry();
            }
        }
    };
    let served = tokio::select! {
        // A request that came already is served even then.
        biased;
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
