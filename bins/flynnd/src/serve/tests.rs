use std::net::SocketAddr;

use axum::body::Bytes;
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;

const HEAD: Duration = Duration::from_millis(300);
const BODY: Duration = Duration::from_millis(600);
const IDLE: Duration = Duration::from_secs(3);
/// Longer than anything may take here.
const LONG: Duration = Duration::from_secs(20);

/// A server with short limits.
struct Server {
    address: SocketAddr,
    close: watch::Sender<bool>,
    thread: std::thread::JoinHandle<()>,
}

impl Server {
    fn start() -> Self {
        let limits =
            Limits { head: HEAD, body: BODY, idle: IDLE, per_address: 3, head_bytes: 16 << 10, ..Limits::default() };
        let routes = Router::new()
            .route("/", get(async || "answer"))
            .route("/slow", get(slow))
            .route("/upgrade", get(upgrade))
            .route("/body", post(async |body: Bytes| body.len().to_string()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (close, closing) = Closing::new();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                network(TcpListener::from_std(listener).unwrap(), routes, limits, closing).await;
            });
        });
        Self { address, close, thread }
    }

    async fn connect(&self, words: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(words.as_bytes()).await.unwrap();
        client
    }

    async fn end(self) {
        self.close.send_replace(true);
        let joined = tokio::task::spawn_blocking(|| self.thread.join());
        timeout(LONG, joined).await.unwrap().unwrap().unwrap();
    }
}

/// Says a word from time to time, for longer than any limit but that for idleness.
async fn slow() -> Body {
    Body::from_stream(futures::stream::unfold(0, |count| async move {
        sleep(HEAD).await;
        (count < 5).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"word ")), count + 1))
    }))
}

/// Repeats each byte, in a protocol of its own.
async fn upgrade(request: Request<Body>) -> Response<Body> {
    drop(tokio::spawn(async move {
        let mut way = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let mut byte = [0];
        while way.read_exact(&mut byte).await.is_ok() {
            way.write_all(&byte).await.unwrap();
        }
    }));
    let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    answer.header("connection", "upgrade").header("upgrade", "echo").body(Body::empty()).unwrap()
}

/// What comes until the server hangs up, and how long that takes.
async fn rest(client: &mut TcpStream) -> (String, Duration) {
    let (began, mut text) = (Instant::now(), Vec::new());
    // A reset is as good an end.
    let _ = timeout(LONG, client.read_to_end(&mut text)).await.expect("the server hangs up");
    (String::from_utf8(text).unwrap(), began.elapsed())
}

/// What comes, up to `end`.
async fn until(client: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        let read = timeout(LONG, client.read(&mut byte)).await.expect("an answer").unwrap();
        assert_eq!(read, 1, "the server hung up after: {text}");
        text.push(char::from(byte[0]));
    }
    text
}

#[tokio::test]
async fn a_head_has_to_come_in_time() {
    let server = Server::start();
    let mut half = server.connect("GET / HTTP/1.1\r\nhost: x\r\nx-half").await;
    let (_, took) = rest(&mut half).await;
    assert!(took >= HEAD / 2 && took < IDLE, "{took:?}");

    // Also one that comes byte by byte, and the second one of a connection.
    let mut client = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(until(&mut client, "answer").await.starts_with("HTTP/1.1 200"));
    let (mut reader, mut writer) = client.into_split();
    let began = Instant::now();
    let dripping = async {
        for byte in std::iter::repeat(b"x") {
            if writer.write_all(byte).await.is_err() {
                return;
            }
            sleep(HEAD / 10).await;
        }
    };
    let ended = async {
        let mut left = Vec::new();
        let _ = timeout(LONG, reader.read_to_end(&mut left)).await.expect("the server hangs up");
    };
    tokio::select! {
        () = dripping => {}
        () = ended => {}
    }
    assert!(began.elapsed() < IDLE, "{:?}", began.elapsed());
    server.end().await;
}

#[tokio::test]
async fn a_connection_may_be_quiet_for_longer_than_a_head_but_not_for_ever() {
    let server = Server::start();
    let mut client = server.connect("").await;
    for _ in 0..2 {
        sleep(HEAD * 3).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        until(&mut client, "answer").await;
    }
    let (text, took) = rest(&mut client).await;
    assert!(text.is_empty() && took >= IDLE / 2, "{text} {took:?}");
    server.end().await;
}

#[tokio::test]
async fn a_body_may_be_slow_but_not_stop() {
    let server = Server::start();
    let head = "POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 8\r\n\r\n";
    let mut slow = server.connect(head).await;
    for _ in 0..8 {
        sleep(BODY / 4).await;
        slow.write_all(b"x").await.unwrap();
    }
    let (answer, _) = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('8'), "{answer}");
    let mut stopped = server.connect(head).await;
    stopped.write_all(b"xx").await.unwrap();
    let (answer, took) = rest(&mut stopped).await;
    assert!(!answer.contains("200") && took >= BODY / 2 && took < IDLE, "{answer} {took:?}");
    server.end().await;
}

#[tokio::test]
async fn answers_and_upgraded_connections_take_their_time() {
    let server = Server::start();
    let mut slow = server.connect("GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let (answer, _) = rest(&mut slow).await;
    assert_eq!(answer.matches("word").count(), 5, "{answer}");
    let request = "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let mut echo = server.connect(request).await;
    assert!(until(&mut echo, "\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    for pause in [HEAD * 2, IDLE + HEAD] {
        echo.write_all(b"x").await.unwrap();
        until(&mut echo, "x").await;
        sleep(pause).await;
    }
    echo.write_all(b"y").await.unwrap();
    until(&mut echo, "y").await;
    drop(echo);
    server.end().await;
}

#[tokio::test]
async fn too_large_heads_and_too_many_connections_are_refused() {
    let server = Server::start();
    let large = "x".repeat(32 << 10);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    // It may hang up in the middle.
    let _ = client.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\nlarge: {large}\r\n\r\n").as_bytes()).await;
    let (answer, _) = rest(&mut client).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    drop(client);

    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        until(&mut client, "answer").await;
        open.push(client);
    }
    let mut fourth = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(rest(&mut fourth).await.0, "");
    drop(open.pop());
    let began = Instant::now();
    loop {
        let mut client = server.connect("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        if rest(&mut client).await.0.ends_with("answer") {
            break;
        }
        assert!(began.elapsed() < LONG, "a place that was left stays taken");
    }
    drop(open);
    server.end().await;
}
