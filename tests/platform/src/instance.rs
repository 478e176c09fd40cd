use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use flynn_core::client::{Credential, Endpoint, RemoteStore};
use flynn_instance::{Layout, Post, Record};
use tempfile::TempDir;

use crate::remains;

/// A program of this build.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "{} is not there: build it before the tests", path.display());
    path
}

/// Waits until `condition` holds, which is within seconds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("in vain for 20 seconds: {what}");
}

/// The folders and addresses of an instance, which is taken down at the end.
#[derive(Debug)]
pub struct Instance {
    /// Everything of the instance that is a file.
    pub folder: TempDir,
    /// An address of this machine that no other test uses.
    pub host: Ipv4Addr,
    http: u16,
    options: Vec<String>,
}

/// A control plane that runs.
#[derive(Debug)]
pub struct Started {
    process: Child,
}

impl Default for Instance {
    fn default() -> Self {
        Self::new()
    }
}

impl Instance {
    /// An instance of which nothing runs yet.
    pub fn new() -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let folder = tempfile::Builder::new().prefix("flynn").tempdir().unwrap();
        // Routers and others who are not root pass through.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let [.., high, low] = std::process::id().to_be_bytes();
        // 127.0.0.1 is for everybody.
        let host = Ipv4Addr::new(127, 64 + (high & 63), low, COUNT.fetch_add(1, Ordering::SeqCst));
        Self { folder, host, http: 80, options: Vec::new() }
    }

    /// The same, started with further options.
    #[must_use]
    pub fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    /// The same, with apps at another port than the usual one.
    #[must_use]
    pub fn serving_at(mut self, http: u16) -> Self {
        self.http = http;
        self
    }

    /// Where its files are.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.folder.path().join("data"), Some(&self.folder.path().join("run"))).unwrap()
    }

    /// Where the control plane listens.
    pub fn api(&self) -> SocketAddr {
        SocketAddr::from((self.host, 7700))
    }

    /// Where the router listens.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::from((self.host, self.http))
    }

    /// A control plane of this instance, not started yet.
    pub fn command(&self) -> Command {
        let mut command = Command::new(program("flynnd"));
        command.arg("--data-dir").arg(self.layout().data()).arg("--run-dir").arg(self.layout().run());
        command.arg("--listen").arg(self.api().to_string()).arg("--http").arg(self.http().to_string());
        command.args(&self.options).stdin(Stdio::null());
        command
    }

    /// What a control plane says that does not start.
    pub fn refused(&self) -> String {
        refusal(self.command().output().unwrap())
    }

    /// Starts the control plane, and waits until it serves.
    pub async fn start(&self) -> Started {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(self.folder.path().join("flynnd.log"));
        let mut process = self.command().stderr(log.unwrap()).spawn().unwrap();
        let socket = self.layout().socket();
        until("the control plane serves", || {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", self.log());
            let is_own = self.holder("flynnd").is_some_and(|record| record.identity.process.pid == process.id());
            is_own && answers(&socket).is_some()
        })
        .await;
        Started { process }
    }

    /// What the control planes said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("flynnd.log")).unwrap_or_default()
    }

    /// The process that runs as this program.
    pub fn holder(&self, program: &str) -> Option<Record> {
        let post = if program == "flynnd" { self.layout().control_post() } else { self.layout().post(program) };
        Post::holder(&post).unwrap()
    }

    /// The store, with all rights.
    pub fn store(&self) -> RemoteStore {
        RemoteStore::connect(Endpoint::unix(self.layout().socket()), Credential::Socket).unwrap()
    }

    /// Takes the instance down.
    pub fn down(&self) -> Output {
        self.tell("down")
    }

    /// Ends the control plane alone.
    pub fn stop(&self) -> Output {
        self.tell("stop")
    }

    fn tell(&self, command: &str) -> Output {
        let mut flynnd = Command::new(program("flynnd"));
        flynnd.arg(command).arg("--data-dir").arg(self.layout().data()).arg("--run-dir").arg(self.layout().run());
        flynnd.stdin(Stdio::null()).output().unwrap()
    }

    /// Takes the instance down and asserts that nothing is left of it.
    pub fn end(self) {
        let output = self.down();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(remains(&self.layout()), [""; 0]);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // A test that fails leaves nothing either.
        if self.layout().data().exists() {
            let _ = self.down();
        }
    }
}

/// The one line that a program says when it fails.
fn refusal(output: Output) -> String {
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

impl Started {
    /// Kills it.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut status = None;
        until("the control plane ends", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert!(status.unwrap().success(), "{status:?}");
    }
}

impl Started {
    /// Waits until somebody has ended it.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // A zombie would count as what is left.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether the control plane behind a socket answers.
fn answers(socket: &Path) -> Option<()> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET /peer/v1/whoami HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.starts_with("HTTP/1.1 200").then_some(())
}

/// Copies a program to where every user can run it.
pub fn public_copy(name: &str, folder: &Path) -> PathBuf {
    let copy = folder.join(name);
    std::fs::copy(program(name), &copy).unwrap();
    copy
}
