use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use flynn_core::noun::{Health, HealthCheck, Probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Outcome, Tally};

/// A status line ends before this many bytes.
const LONGEST_STATUS: usize = 256;
/// The first pause between two probes of an instance that has not passed one yet, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_EARLY_PAUSE: Duration = Duration::from_millis(250);

/// Asks one instance again and again. It starts no task: whoever awaits it drives it, and dropping it stops it.
#[derive(Debug)]
pub struct Prober {
    address: SocketAddr,
    check: HealthCheck,
    tally: Tally,
    /// How many probes were made.
    asked: u32,
    last: Option<ProbeError>,
}

/// Why a probe failed, in words for the app's developer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Nobody accepts connections, or the connection broke.
    #[error("no answer from {address}")]
    NoAnswer {
        /// Who was asked.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The answer took too long.
    #[error("no answer from {address} within {} ms", limit.as_millis())]
    TooSlow {
        /// Who was asked.
        address: SocketAddr,
        /// The time it had.
        limit: Duration,
    },
    /// The answer is not one of HTTP/1.
    #[error("{address} does not speak HTTP/1")]
    NotHttp {
        /// Who was asked.
        address: SocketAddr,
    },
    /// The status is not one from 200 to 399.
    #[error("{address} answered with status {status}")]
    BadStatus {
        /// Who was asked.
        address: SocketAddr,
        /// The status.
        status: u16,
    },
}

impl Prober {
    /// Asks the instance at `address` as `check` says. A threshold of zero counts as one.
    pub fn new(address: SocketAddr, check: HealthCheck) -> Self {
        Self::resume(address, check, None)
    }

    /// The same for an instance whose health was known before, if it was.
    pub fn resume(address: SocketAddr, check: HealthCheck, known: Option<Health>) -> Self {
        let threshold = NonZeroU32::new(check.threshold).unwrap_or(NonZeroU32::MIN);
        Self { address, check, tally: Tally::resume(threshold, known), asked: 0, last: None }
    }

    /// Waits for the next change of health and gives it. The first probe is made at once, the others one interval after the end of the one before. Until
    /// one has passed the pauses are shorter than that, from 50 to 250 milliseconds, so that an instance is in use
    /// soon after it is ready. Dropping the future loses at most the probe under way.
    pub async fn changed(&mut self) -> Health {
        loop {
            if self.asked > 0 {
                tokio::time::sleep(self.pause()).await;
            }
            self.asked = self.asked.saturating_add(1);
            let result = self.probe().await;
            let outcome = if result.is_ok() { Outcome::Passed } else { Outcome::Failed };
            self.last = result.err();
            let before = self.tally.health();
            if let Some(health) = self.tally.add(outcome).filter(|_| before != self.tally.health()) {
                return health;
            }
        }
    }

    fn pause(&self) -> Duration {
        let early = FIRST_PAUSE + FIRST_PAUSE / 4 * self.asked.saturating_sub(1);
        match self.tally.health() {
            Some(_) => self.check.interval,
            None => early.min(LONGEST_EARLY_PAUSE).min(self.check.interval),
        }
    }

    /// Why the last probe failed, if it did.
    pub fn failure(&self) -> Option<&ProbeError> {
        self.last.as_ref()
    }

    /// How many probes have failed since the last that passed.
    pub fn failures(&self) -> u32 {
        self.tally.failures()
    }

    /// Asks once.
    ///
    /// # Errors
    /// The instance did not answer as it should.
    pub async fn probe(&self) -> Result<(), ProbeError> {
        let Self { address, check: HealthCheck { probe, timeout, .. }, .. } = self;
        match tokio::time::timeout(*timeout, ask(*address, probe)).await {
            Ok(result) => result,
            Err(_) => Err(ProbeError::TooSlow { address: *address, limit: *timeout }),
        }
    }
}

async fn ask(address: SocketAddr, probe: &Probe) -> Result<(), ProbeError> {
    let no_answer = |source| ProbeError::NoAnswer { address, source };
    let mut stream = TcpStream::connect(address).await.map_err(no_answer)?;
    let Probe::Http { path } = probe else {
        return Ok(());
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: flynn-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(no_answer)?;
    let mut head = Vec::new();
    let mut limited = stream.take(LONGEST_STATUS as u64);
    while !head.contains(&b'\n') {
        if limited.read_buf(&mut head).await.map_err(no_answer)? == 0 {
            break;
        }
    }
    match status(&head) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(ProbeError::BadStatus { address, status }),
        None if head.is_empty() => Err(no_answer(io::ErrorKind::UnexpectedEof.into())),
        None => Err(ProbeError::NotHttp { address }),
    }
}

/// The status in `HTTP/1.1 200 OK` (RFC 9112 section 4); the words after it may be missing.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|&byte| byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.trim_end().split(' ');
    let version = words.next()?;
    let status = words.next().filter(|status| status.len() == 3)?;
    (version == "HTTP/1.1" || version == "HTTP/1.0").then(|| status.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_status_line_has_a_status() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 404 Not Found\r\nA: b", Some(404)),
            ("HTTP/1.1 302\r\n", Some(302)),
            ("HTTP/1.1 20 OK\r\n", None),
            ("HTTP/2 200 OK\r\n", None),
            ("SSH-2.0-OpenSSH\r\n", None),
            ("", None),
            ("HTTP/1.1", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }
}
