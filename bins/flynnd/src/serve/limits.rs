use std::time::Duration;

/// How much of the server clients may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The time from the first byte of a request to the end of its head.
    pub(crate) head: Duration,
    /// How long a connection stays open on which nothing is asked.
    pub(crate) idle: Duration,
    /// How long a request may stop in the middle of its body, while that is waited for.
    pub(crate) body: Duration,
    /// How many fields a head may have.
    pub(crate) head_fields: usize,
    /// How many bytes a head may have.
    pub(crate) head_bytes: usize,
    /// Connections at a time of each listener; further ones wait.
    pub(crate) connections: usize,
    /// Connections at a time of one address of the network; further ones are hung up on.
    pub(crate) per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(60),
            head_fields: 100,
            head_bytes: 64 << 10,
            connections: 4_096,
            per_address: 1_024,
        }
    }
}
