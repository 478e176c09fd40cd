//! The instance behind the proxies: fixed answers as fast as one thread gives them.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves until it is killed.
pub(crate) fn run(address: SocketAddr) -> Result<()> {
    let small: &'static [u8] = answer(1 << 10).leak();
    let large: &'static [u8] = answer(64 << 10).leak();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // Ended with the program.
            tokio::task::spawn_local(serve(stream, small, large));
        }
    })
}

async fn serve(mut stream: TcpStream, small: &'static [u8], large: &'static [u8]) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(4 << 10);
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let answer = if head.starts_with(b"GET /64k ") { large } else { small };
        stream.write_all(answer).await?;
    }
}

/// An answer with the fields that apps send.
fn answer(length: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n\
         Cache-Control: max-age=60\r\nETag: \"0123456789abcdef\"\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + length, b'x');
    answer
}
