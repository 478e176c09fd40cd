//! What a connection costs while nothing happens on it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::numbers::median;
use crate::proxy::{self, Kind};

const FEW: usize = 64;
const MANY: usize = 5_000;
const REST: Duration = Duration::from_secs(2);

/// Bytes of memory for each connection that was answered once and waits for its next request.
pub(crate) fn bytes_per_connection(rounds: usize) -> Result<Vec<f64>> {
    let instance = proxy::instance()?;
    let mut measured = Vec::new();
    for _ in 0..rounds.min(3) {
        let router = proxy::proxy(Kind::Flynn(100), instance.address)?;
        let mut open = Vec::new();
        let before = grow(&mut open, FEW, router.address).and_then(|()| router.memory())?;
        let after = grow(&mut open, MANY, router.address).and_then(|()| router.memory())?;
        let bytes = after.saturating_sub(before) as f64 / (MANY - FEW) as f64;
        eprintln!("    {bytes:.0}");
        measured.push(bytes);
    }
    Ok(vec![median(measured)])
}

fn grow(open: &mut Vec<TcpStream>, count: usize, router: SocketAddr) -> Result<()> {
    let mut answer = [0; 4 << 10];
    while open.len() < count {
        let mut stream = TcpStream::connect(router).with_context(|| format!("connection {}", open.len()))?;
        stream.write_all(b"GET /1k HTTP/1.1\r\nHost: a.example\r\n\r\n")?;
        let mut length = 0;
        while !ends(&answer[..length]) {
            let read = stream.read(&mut answer[length..])?;
            ensure!(read > 0, "the router closed a connection");
            length += read;
        }
        open.push(stream);
    }
    thread::sleep(REST);
    Ok(())
}

/// Whether the answer of a kilobyte is whole.
fn ends(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() >= head + 4 + 1_024)
}
