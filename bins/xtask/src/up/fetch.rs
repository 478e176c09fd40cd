//! One request through the router, as a browser would make it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST: u64 = 1 << 20;

/// The body of `path` of `host`, asked of the server at `address`. Any status but 200 is an error.
pub(super) fn page(address: SocketAddr, host: &str, path: &str) -> Result<String> {
    let operation = || format!("fetching http://{host}{path} from {address}");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(operation)?;
    stream.set_read_timeout(Some(PATIENCE)).with_context(operation)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").with_context(operation)?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).with_context(operation)?;
    body(&String::from_utf8_lossy(&answer)).with_context(operation)
}

fn body(answer: &str) -> Result<String> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("the answer is {status:?}: {body}");
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_counts() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello").unwrap(), "hello");
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\nR10", "HTTP/1.1 200 OK", ""] {
            assert!(body(answer).is_err(), "{answer:?}");
        }
    }
}
