use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// What serves HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Engine {
    /// The router's own engine. What it does not take, which is upgrades, HTTP/1.0, targets other than paths and
    /// everything malformed, it leaves to the reference.
    #[default]
    Direct,
    /// A general implementation of HTTP, which needs more time and memory for a request. The two give the same
    /// answers.
    Reference,
}

/// The limits of a proxy, and how it serves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProxySettings {
    /// What serves HTTP/1.1.
    pub engine: Engine,
    /// The most clients at a time, of all listeners together. When there are as many, those that keep the router waiting for a head for
    /// more than a second are let go, and others wait until one has gone.
    pub connections: usize,
    /// The largest request head, in bytes.
    pub head_bytes: usize,
    /// The most fields in a request head.
    pub head_fields: usize,
    /// The time a client has for a head once it has begun it, and for its first head from when it connected.
    pub head_time: Duration,
    /// How long a client may wait with its next request.
    pub keep_alive: Duration,
    /// The largest request body, in bytes; none for no limit.
    pub body_bytes: Option<u64>,
    /// How long a client may pause in the middle of a body.
    pub body_idle: Duration,
    /// The bytes a second that a body has to come at while the router waits for it, once it has waited for as
    /// long as `body_idle` altogether and until the answer begins. Zero is no limit.
    pub body_rate: u32,
    /// The time an instance has to accept a connection.
    pub connect_time: Duration,
    /// The time an instance has to begin its answer, counted from the end of the request.
    pub first_byte: Duration,
    /// How long nothing may move in the middle of an answer or a tunnel.
    pub idle: Duration,
    /// How long an unused connection to an instance is kept.
    pub pool_time: Duration,
    /// The most unused connections that are kept for one instance.
    pub pool_size: usize,
    /// How long an instance counts as fresh and gets less than its share.
    pub slow_start: Duration,
    /// After how many failures in a row an instance is passed over for a while; zero is never.
    pub eject_after: u32,
    /// For how long it is passed over the first time. Each further time is twice as long, up to a minute.
    pub eject_time: Duration,
    /// The port of redirects to `https`. Without one nothing is redirected, since nothing serves `https`.
    pub https_port: Option<u16>,
    /// The requests that a client of HTTP/2 may have under way on one connection.
    pub http2_streams: u32,
    /// After how long a silence a client of HTTP/2 is asked whether it is there. It has half as long to answer.
    pub http2_ping: Duration,
    /// How long requests may go on after the stop.
    pub drain: Duration,
    /// The seed of balancing and of request ids.
    pub seed: u64,
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            connections: 10_000,
            head_bytes: 64 << 10,
            head_fields: 100,
            head_time: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
            body_bytes: None,
            body_idle: Duration::from_secs(30),
            body_rate: 50,
            connect_time: Duration::from_secs(5),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_secs(55),
            pool_time: Duration::from_secs(30),
            pool_size: 256,
            slow_start: Duration::from_secs(10),
            eject_after: 5,
            eject_time: Duration::from_secs(5),
            https_port: None,
            http2_streams: 128,
            http2_ping: Duration::from_secs(20),
            drain: Duration::from_secs(30),
            // Every hasher of the standard library is made with random keys.
            seed: RandomState::new().hash_one("proxy"),
        }
    }
}
