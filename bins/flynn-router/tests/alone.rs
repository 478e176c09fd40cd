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
use std::{fs, io, thread};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

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
        Self::start_with(config, &[])
    }

    fn start_with(config: &Path, options: &[&str]) -> (Self, SocketAddr) {
        let mut command = command(config, "127.0.0.1:0");
        let mut child = command.args(options).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
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

/// Writes a fresh certificate for `a.example` and its key, each in the way an editor does.
fn renew(folder: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    for (name, text) in [("a.pem", certificate.pem()), ("a.key", key.serialize_pem())] {
        fs::write(folder.join("fresh"), text).unwrap();
        fs::rename(folder.join("fresh"), folder.join(name)).unwrap();
    }
    certificate.der().clone()
}

/// Asks over TLS, and trusts this certificate alone.
fn secured(router: SocketAddr, trusted: &CertificateDer<'static>) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let client = ClientConnection::new(config, ServerName::try_from("a.example").unwrap()).unwrap();
    let stream = TcpStream::connect(router)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn serves(router: SocketAddr, certificate: &CertificateDer<'static>) {
    let began = Instant::now();
    loop {
        match secured(router, certificate) {
            Ok(answer) if answer.ends_with("hello") => return,
            other => assert!(began.elapsed() < PATIENCE, "{other:?}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn certificates_of_files_are_served_and_followed() {
    let (instance, folder) = (Instance::start(), tempfile::tempdir().unwrap());
    let config = folder.path().join("router.toml");
    let first = renew(folder.path());
    let secure = "redirect_https = true\n[[certificate]]\nchain = 'a.pem'\nkey = 'a.key'\n";
    fs::write(&config, routes("a.example", instance.address) + secure).unwrap();
    let (router, plain) = Router::start_with(&config, &["--https", "127.0.0.1:0"]);
    let https: SocketAddr = router.hears("https=").parse().unwrap();
    serves(https, &first);
    assert_eq!(status(plain, "a.example"), 301);

    let second = renew(folder.path());
    serves(https, &second);
    fs::write(folder.path().join("a.key"), "none").unwrap();
    router.hears("a.key: there is no private key");
    serves(https, &second);
    let place = format!("{}:9:7: a.key: there is no private key", config.display());
    router.hears(&place);

    fs::write(&config, routes("a.example", instance.address)).unwrap();
    becomes(plain, "a.example", 200);
    assert!(secured(https, &second).is_err());
}

#[test]
fn certificates_need_an_address_for_https() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("router.toml");
    renew(folder.path());
    fs::write(&config, "[[certificate]]\nchain = 'a.pem'\nkey = 'a.key'\n").unwrap();
    let Output { status, stderr, .. } = command(&config, "127.0.0.1:0").output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("router.toml:2:9: this router serves no TLS: give it an address for https"), "{said}");
}
