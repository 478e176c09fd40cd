use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The limits of a proxy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProxySettings {
    /// The most clients at a time. Others wait until one has gone.
    pub connections: usize,
    /// The largest request head, in bytes.
    pub head_bytes: usize,
    /// The most fields in a request head.
    pub head_fields: usize,
    /// The time a client has for a head once it has begun it.
    pub head_time: Duration,
    /// How long a client may wait with its next request.
    pub keep_alive: Duration,
    /// The time an instance has to accept a connection.
    pub connect_time: Duration,
    /// The time an instance has to begin its answer, counted from the end of the request.
    pub first_byte: Duration,
    /// How long nothing may move in the middle of a request, an answer or a tunnel.
    pub idle: Duration,
    /// How long an unused connection to an instance is kept.
    pub pool_time: Duration,
    /// The most unused connections that are kept for one instance.
    pub pool_size: usize,
    /// How long requests may go on after the stop.
    pub drain: Duration,
    /// The seed of balancing and of request ids.
    pub seed: u64,
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head_bytes: 64 << 10,
            head_fields: 100,
            head_time: Duration::from_secs(15),
            keep_alive: Duration::from_secs(60),
            connect_time: Duration::from_secs(5),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_secs(55),
            pool_time: Duration::from_secs(30),
            pool_size: 256,
            drain: Duration::from_secs(30),
            // Every hasher of the standard library is made with random keys.
            seed: RandomState::new().hash_one("proxy"),
        }
    }
}
