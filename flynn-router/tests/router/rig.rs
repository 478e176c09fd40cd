//! A proxy on loopback with instances written by hand, and a client that sees every byte.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flynn_core::name::{AppName, HostPattern, PathPrefix, ProcessName};
use flynn_core::noun::Traffic;
use flynn_core::{Ids, JobId, SystemClock, Timestamp};
use flynn_router::access::{AccessLog, AccessRecord};
use flynn_router::proxy::{Counts, Drained, Proxy, ProxySettings};
use flynn_router::table::{HostMatch, Place, ShardedTable, TableChange, TargetKey, TargetSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that has to happen.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

/// Waits until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Vec<(AccessRecord, String)>>);

impl AccessLog for Lines {
    fn record(&self, record: &AccessRecord) {
        self.0.lock().unwrap().push((record.clone(), record.to_string()));
    }
}

impl Lines {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    pub(crate) fn records(&self) -> Vec<AccessRecord> {
        self.0.lock().unwrap().iter().map(|(record, _)| record.clone()).collect()
    }

    /// The lines, once there are `count`.
    pub(crate) async fn wait(&self, count: usize) -> Vec<String> {
        until(|| self.0.lock().unwrap().len() >= count).await;
        let lines = self.all();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }
}

pub(crate) struct Rig {
    pub(crate) table: Arc<ShardedTable>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) address: SocketAddr,
    ids: Mutex<Ids>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Drained>,
    proxy: Proxy,
}

pub(crate) fn settings(change: impl FnOnce(&mut ProxySettings)) -> ProxySettings {
    let mut settings = ProxySettings::default();
    settings.engine = crate::ENGINE;
    settings.seed = 7;
    settings.drain = Duration::from_secs(5);
    change(&mut settings);
    settings
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(settings(|_| {})).await
    }

    pub(crate) async fn with(settings: ProxySettings) -> Self {
        Self::over(Arc::new(ShardedTable::new()), settings).await
    }

    pub(crate) async fn over(table: Arc<ShardedTable>, settings: ProxySettings) -> Self {
        let lines = Arc::new(Lines::default());
        let proxy = Proxy::new(table.clone(), lines.clone(), Arc::new(SystemClock), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = proxy.clone();
        let served = tokio::spawn(async move { serving.serve(listener, async { drop(stopped.await) }).await });
        Self { table, lines, address, ids: Mutex::new(Ids::seeded(1)), stop: Some(stop), served, proxy }
    }

    /// A proxy whose host `a.example` leads to `instances`.
    pub(crate) async fn to(instances: &[SocketAddr]) -> Self {
        let rig = Self::start().await;
        rig.route("a.example", "/", instances);
        rig
    }

    pub(crate) async fn to_with(instances: &[SocketAddr], settings: ProxySettings) -> Self {
        let rig = Self::with(settings).await;
        rig.route("a.example", "/", instances);
        rig
    }

    #[cfg(feature = "tls")]
    pub(crate) fn proxy(&self) -> Proxy {
        self.proxy.clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.proxy.counts()
    }

    pub(crate) fn id<N>(&self) -> flynn_core::Id<N> {
        self.ids.lock().unwrap().next(Timestamp::EPOCH)
    }

    pub(crate) fn route(&self, host: &str, path: &str, instances: &[SocketAddr]) -> TargetKey {
        let key = TargetKey { app: self.id::<flynn_core::noun::App>(), process: ProcessName::new("web").unwrap() };
        self.target(&key, instances, Traffic::Serve);
        self.table.apply([TableChange::PutRoute(place(host, path), key.clone().into())]);
        key
    }

    pub(crate) fn target(&self, key: &TargetKey, instances: &[SocketAddr], traffic: Traffic) {
        let backends: BTreeMap<JobId, SocketAddr> = instances.iter().map(|address| (self.id(), *address)).collect();
        let spec = TargetSpec { name: AppName::new("web").unwrap(), traffic, backends };
        self.table.apply([TableChange::PutTarget(key.clone(), spec)]);
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One exchange on a connection of its own.
    pub(crate) async fn get(&self, request: &str) -> Answer {
        let mut client = self.client().await;
        client.send(request).await;
        client.answer().await
    }

    pub(crate) fn begin_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub(crate) async fn stopped(self) -> Drained {
        soon(self.served).await.unwrap()
    }

    /// Serves another listener of the same proxy, on a thread and a runtime of its own.
    pub(crate) fn on_a_thread(&self) -> OtherThread {
        let (proxy, (stop, stopped)) = (self.proxy.clone(), oneshot::channel());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                proxy.serve(listener, async { drop(stopped.await) }).await
            })
        });
        OtherThread { address, stop, thread }
    }

    /// Stops the proxy; nobody may have to be cut off.
    pub(crate) async fn end(mut self) {
        self.begin_stop();
        assert_eq!(self.stopped().await, Drained { cut: 0 });
    }
}

pub(crate) struct OtherThread {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<Drained>,
}

impl OtherThread {
    pub(crate) async fn end(self) {
        let _ = self.stop.send(());
        let ended = tokio::task::spawn_blocking(|| self.thread.join().unwrap());
        assert_eq!(soon(ended).await.unwrap(), Drained { cut: 0 });
    }
}

pub(crate) fn place(host: &str, path: &str) -> Place {
    let host = if host == "*" { HostMatch::Any } else { HostPattern::new(host).unwrap().into() };
    Place { host, path: PathPrefix::new(path).unwrap() }
}

/// A client that writes and reads bytes.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: String,
    /// Whether the body arrived whole.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

/// The value of the only field of this name.
pub(crate) fn field(head: &str, name: &str) -> Option<String> {
    let mut found = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut all = found.by_ref().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    let value = all.next().map(|(_, value)| value.trim().to_owned());
    assert!(all.next().is_none(), "two fields {name} in {head}");
    value
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(soon(TcpStream::connect(address)).await.unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends what a router that has answered and gone may not wait for. Whether it was taken.
    pub(crate) async fn offer(&mut self, bytes: &[u8]) -> bool {
        soon(self.stream.write_all(bytes)).await.is_ok()
    }

    async fn more(&mut self) -> bool {
        let count = soon(self.stream.read_buf(&mut self.buffer)).await.unwrap_or(0);
        count > 0
    }

    /// Bytes up to and including `end`; none if the connection ends first.
    pub(crate) async fn through(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    pub(crate) async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.more().await {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.buffer)
    }

    pub(crate) async fn head(&mut self) -> Option<String> {
        self.through(b"\r\n\r\n").await.map(|head| String::from_utf8(head).unwrap())
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Answer {
        self.answer_if_any(method).await.expect("the connection ended without an answer")
    }

    /// The next answer; none if the connection ends before one.
    pub(crate) async fn answer_if_any(&mut self, method: &str) -> Option<Answer> {
        let head = self.head().await?;
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new(), trailers: String::new(), whole: true };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return Some(answer);
        }
        if answer.field("transfer-encoding").is_some() {
            answer.whole = self.chunks(&mut answer.body, &mut answer.trailers).await.is_some();
        } else if let Some(length) = answer.field("content-length") {
            match self.exactly(length.parse().unwrap()).await {
                Some(body) => answer.body = body,
                None => {
                    answer.body = std::mem::take(&mut self.buffer);
                    answer.whole = false;
                }
            }
        } else {
            answer.body = self.rest().await;
        }
        Some(answer)
    }

    async fn chunks(&mut self, body: &mut Vec<u8>, trailers: &mut String) -> Option<()> {
        loop {
            let size = self.through(b"\r\n").await?;
            let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            body.extend(self.exactly(size).await?);
            assert_eq!(self.exactly(2).await?, b"\r\n");
        }
        loop {
            let line = self.through(b"\r\n").await?;
            if line == b"\r\n" {
                return Some(());
            }
            trailers.push_str(std::str::from_utf8(&line).unwrap());
        }
    }
}
