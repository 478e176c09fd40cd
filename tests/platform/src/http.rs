use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// Asks for the first page of `host` over a connection of its own; none if there is no whole answer.
pub fn get(address: SocketAddr, host: &str) -> Option<Answer> {
    ask_network(address, format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"))
}

/// Sends a JSON document with a token.
pub fn post(address: SocketAddr, path: &str, token: &str, body: &str) -> Option<Answer> {
    ask_network(address, posting(path, &format!("authorization: Bearer {token}\r\n"), body))
}

/// Sends an archive with a token.
pub fn upload(address: SocketAddr, path: &str, token: &str, archive: &[u8]) -> Option<Answer> {
    let length = archive.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/x-tar\r\ncontent-length: {length}\r\n\r\n"
    );
    ask_network(address, [head.as_bytes(), archive].concat())
}

/// Sends a JSON document over a socket of this machine.
pub fn post_locally(socket: &Path, path: &str, body: &str) -> Option<Answer> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(PATIENCE).ok()?;
    ask(stream, posting(path, "", body).as_bytes())
}

fn posting(path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn ask_network(address: SocketAddr, request: impl AsRef<[u8]>) -> Option<Answer> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(PATIENCE).ok()?;
    ask(stream, request.as_ref())
}

fn ask(mut stream: impl Read + Write, request: &[u8]) -> Option<Answer> {
    stream.write_all(request).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}
