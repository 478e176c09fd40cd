//! The program without a control plane: routes from a file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]
#![allow(clippy::disallowed_methods, reason = "it waits for a process, so for the clock on the wall")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, thread};

const PATIENCE: Duration = Duration::from_secs(30);

/// An instance that answers every connection once.
struct Instance {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Instance {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, ended) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let told = ended.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
            }
        });
        Self { address, ended, thread: Some(thread) }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The router, and what it has said so far.
struct Router {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

fn command(config: &Path, address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flynn-router"));
    command.arg("--config").arg(config).args(["--http", address, "--no-access-log"]).stdin(Stdio::null());
    command
}

impl Router {
    fn start(config: &Path) -> (Self, SocketAddr) {
        let mut child = command(config, "127.0.0.1:0").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (kept, output) = (said.clone(), child.stderr.take().unwrap());
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                *kept.lock().unwrap() += &(line.unwrap() + "\n");
            }
        });
        let router = Self { child, said, reader: Some(reader) };
        let address = router.hears("address=");
        (router, address.parse().unwrap())
    }

    /// Waits until it has said this, and returns the word after it.
    fn hears(&self, what: &str) -> String {
        let began = Instant::now();
        loop {
            let said = self.said.lock().unwrap().clone();
            if let Some((_, rest)) = said.split_once(what) {
                return rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "it did not say {what:?} but {said:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
    }
}

fn status(router: SocketAddr, host: &str) -> u16 {
    let mut stream = TcpStream::connect(router).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn becomes(router: SocketAddr, host: &str, expect: u16) {
    let began = Instant::now();
    while status(router, host) != expect {
        assert!(began.elapsed() < PATIENCE, "{host} is not answered with {expect}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn routes(host: &str, instance: SocketAddr) -> String {
    format!("[apps.web]\ninstances = ['{instance}']\n[[routes]]\nhost = '{host}'\napp = 'web'\n")
}

#[test]
fn a_file_is_served_and_followed() {
    let (instance, folder) = (Instance::start(), tempfile::tempdir().unwrap());
    let config = folder.path().join("router.toml");
    fs::write(&config, routes("a.example", instance.address)).unwrap();
    let (router, address) = Router::start(&config);
    assert_eq!((status(address, "a.example"), status(address, "b.example")), (200, 404));

    fs::write(&config, routes("b.example", instance.address) + "path = '/x").unwrap();
    let place = format!("{}:6:", config.display());
    router.hears(&place);
    assert_eq!((status(address, "a.example"), status(address, "b.example")), (200, 404));

    fs::write(&config, routes("b.example", instance.address)).unwrap();
    becomes(address, "b.example", 200);
    assert_eq!(status(address, "a.example"), 404);
    let said = router.said.lock().unwrap().clone();
    assert_eq!(said.matches(&place).count(), 1, "{said}");
}

#[test]
fn a_bad_start_says_why_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("router.toml");
    let refused = |what: &str| {
        let Output { status, stderr, .. } = command(&config, "127.0.0.1:0").output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        let line = said.lines().find(|line| line.starts_with("flynn-router: ")).expect(&said);
        assert!(line.contains(what), "{line}");
    };
    refused("No such file");
    fs::write(&config, "[[routes]]\nhost = '*'\napp = 'web'\n").unwrap();
    refused("router.toml:3:7: there is no app \"web\"");
    let both = command(&config, "127.0.0.1:0").args(["--store", "http://127.0.0.1:1"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}
