//! The proxies: each with a configuration, a folder and a port of its own.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// What is started in front of an instance.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// The router with this many routes.
    Flynn(usize),
    Nginx,
    /// With buffers that hold an answer of 64 kB.
    NginxTuned,
    Haproxy,
}

/// A program that runs on a core of its own until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

/// A command that runs on one core, before all that is less pressing.
pub(crate) fn pinned(core: usize, program: &str) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "-10", "taskset", "-c", &core.to_string(), program]);
    command
}

/// The instance, on the second core.
pub(crate) fn instance() -> Result<Running> {
    let (address, folder) = (free()?, TempDir::new()?);
    let own = std::env::current_exe()?;
    let mut command = pinned(1, &own.display().to_string());
    command.args(["instance", "--address", &address.to_string()]);
    start(command, address, folder)
}

/// Starts a proxy before `instance`.
pub(crate) fn proxy(kind: Kind, instance: SocketAddr) -> Result<Running> {
    let (address, folder) = (free()?, TempDir::new()?);
    let place = folder.path().display().to_string();
    let file = folder.path().join("config");
    let command = match kind {
        Kind::Flynn(routes) => {
            fs::write(&file, flynn(routes, instance)?)?;
            let mut command = pinned(0, &beside("flynn-router")?.display().to_string());
            command.arg("--config").arg(&file).args(["--http", &address.to_string(), "--no-access-log"]);
            command.args(["--log-level", "warn"]);
            command
        }
        Kind::Nginx | Kind::NginxTuned => {
            let tuned = matches!(kind, Kind::NginxTuned);
            fs::write(&file, nginx(&place, address, instance, tuned))?;
            let mut command = pinned(0, &installed("nginx")?);
            command.args(["-p", &place, "-e", &format!("{place}/error.log"), "-c"]).arg(&file);
            command
        }
        Kind::Haproxy => {
            fs::write(&file, haproxy(address, instance))?;
            let mut command = pinned(0, &installed("haproxy")?);
            command.arg("-db").arg("-f").arg(&file);
            command
        }
    };
    start(command, address, folder)
}

impl Running {
    /// The CPU time of all its threads so far, in nanoseconds.
    pub(crate) fn cpu(&self) -> Result<u64> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let line = fs::read_to_string(task?.path().join("schedstat"))?;
            total += line.split(' ').next().and_then(|number| number.parse::<u64>().ok()).context("schedstat")?;
        }
        Ok(total)
    }

    /// Its proportional set size in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("smaps_rollup")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes << 10)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(mut command: Command, address: SocketAddr, folder: TempDir) -> Result<Running> {
    // `nice` and `taskset` become the program, so that its number is theirs.
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("starting nice and taskset")?;
    let mut running = Running { child, address, _folder: folder };
    let began = Instant::now();
    while !answers(address) {
        let ended = running.child.try_wait()?;
        ensure!(ended.is_none() && began.elapsed() < PATIENCE, "{command:?} does not answer on {address}: {ended:?}");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(running)
}

/// Whether a request is answered well. A listener alone says nothing: routes may still be read.
fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /1k HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// An address that nobody listens on.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A program of this build.
fn beside(program: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(program);
    ensure!(path.exists(), "{} is missing: cargo xtask bench router builds it", path.display());
    Ok(path)
}

/// A program of a Debian package, wherever it is.
pub(crate) fn installed(program: &str) -> Result<String> {
    let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().map(|folder| format!("{folder}/{program}"));
    found.into_iter().find(|path| PathBuf::from(path).exists()).with_context(|| {
        format!(
            "{program} is missing: apt-get install --no-install-recommends nginx haproxy wrk, and keep the services off"
        )
    })
}

fn flynn(routes: usize, instance: SocketAddr) -> Result<String> {
    let mut text = format!("[apps.web]\ninstances = [\"{instance}\"]\n");
    for number in 0..routes {
        writeln!(text, "[[routes]]\nhost = \"app-{number}.example.com\"\napp = \"web\"")?;
    }
    writeln!(text, "[[routes]]\nhost = \"a.example\"\napp = \"web\"")?;
    Ok(text)
}

fn nginx(place: &str, address: SocketAddr, instance: SocketAddr, tuned: bool) -> String {
    let buffers = if tuned { "proxy_buffers 8 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k;" } else { "" };
    format!(
        "daemon off; master_process off; worker_processes 1; pid {place}/pid; error_log {place}/error.log crit;
         events {{ worker_connections 16384; }}
         http {{
           access_log off; keepalive_requests 1000000000; client_body_temp_path {place}/body;
           proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi;
           scgi_temp_path {place}/scgi; proxy_max_temp_file_size 0; {buffers}
           upstream instance {{ server {instance}; keepalive 512; keepalive_requests 1000000000; }}
           server {{
             listen {address} reuseport; server_name _;
             location / {{
               proxy_pass http://instance; proxy_http_version 1.1; proxy_set_header Connection \"\";
               proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
             }}
           }}
         }}\n"
    )
}

fn haproxy(address: SocketAddr, instance: SocketAddr) -> String {
    format!(
        "global
  nbthread 1
  maxconn 8000
  no strict-limits
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-keep-alive 60s
frontend edge
  bind {address}
  default_backend instances
backend instances
  server one {instance} pool-max-conn 512
"
    )
}
