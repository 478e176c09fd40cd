use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flynn_instance::{Layout, Names};
use tempfile::TempDir;

use crate::ports::Port;
use crate::{Answer, Checkout, bases, eventually, get, leaks, program};

/// How a rig is started.
#[derive(Debug, Clone, Default)]
pub struct RigOptions {
    /// Further arguments of `flynnd`.
    pub arguments: Vec<OsString>,
}

/// A running instance of Flynn, with somebody who is logged in to it.
#[derive(Debug)]
pub struct Rig {
    place: TempDir,
    listen: Port,
    http: Port,
    options: RigOptions,
    flynnd: Option<Child>,
}

/// A program that ran to its end.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote about itself.
    pub stderr: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// What it wrote, if it succeeded.
    ///
    /// # Panics
    /// It failed.
    pub fn expect(&self, what: &str) -> &str {
        assert_eq!(self.code, Some(0), "{what} failed:\n{}{}", self.stdout, self.stderr);
        &self.stdout
    }

    /// What it wrote about itself, if it failed with `code`.
    ///
    /// # Panics
    /// It did not.
    pub fn expect_failure(&self, code: i32, what: &str) -> &str {
        assert_eq!(self.code, Some(code), "{what} should have failed:\n{}{}", self.stdout, self.stderr);
        &self.stderr
    }
}

const START: Duration = Duration::from_secs(60);

impl Rig {
    /// Starts an instance and logs in.
    pub fn start() -> Self {
        Self::start_with(RigOptions::default())
    }

    /// Starts an instance with these options and logs in.
    pub fn start_with(options: RigOptions) -> Self {
        let place = tempfile::Builder::new().prefix("flynn-rig-").tempdir().unwrap();
        fs::create_dir(place.path().join("home")).unwrap();
        let mut rig = Self { place, listen: Port::claim(), http: Port::claim(), options, flynnd: None };
        rig.start_flynnd();
        let (socket, url) = (rig.layout().socket().display().to_string(), format!("http://{}", rig.api()));
        rig.flynn(&["login", "--socket", &socket, "--url", &url]).expect("flynn login");
        rig
    }

    /// Starts `flynnd`, which must not run, and waits until it answers.
    pub fn start_flynnd(&mut self) {
        assert!(self.flynnd.is_none(), "flynnd runs already");
        let log = fs::File::options().create(true).append(true).open(self.place.path().join("flynnd.log")).unwrap();
        let [run, build] = bases();
        let child = Command::new(program("flynnd"))
            .arg("--data-dir")
            .arg(self.data())
            .arg("--run-dir")
            .arg(self.place.path().join("run"))
            .args(["--listen", &self.api().to_string(), "--http", &self.router().to_string()])
            .arg(format!("--host-option=--run-base={}", run.display()))
            .arg(format!("--host-option=--build-base={}", build.display()))
            .args(&self.options.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.flynnd = Some(child);
        eventually("flynnd answers", START, || {
            if let Some(status) = self.flynnd.as_mut().unwrap().try_wait().unwrap() {
                panic!("flynnd ended with {status}:\n{}", self.log());
            }
            match get(self.api(), "localhost", "/readyz") {
                Ok(Answer { status: 200, .. }) => Ok(()),
                other => Err(other),
            }
        });
    }

    /// Kills `flynnd` as by `kill -9`.
    pub fn kill_flynnd(&mut self) {
        let mut child = self.flynnd.take().expect("flynnd runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The process of `flynnd`.
    pub fn flynnd_pid(&self) -> u32 {
        self.flynnd.as_ref().expect("flynnd runs").id()
    }

    /// What `flynnd` wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("flynnd.log")).unwrap_or_default()
    }

    /// Where API and git are.
    pub fn api(&self) -> SocketAddr {
        self.listen.address()
    }

    /// Where apps are served.
    pub fn router(&self) -> SocketAddr {
        self.http.address()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// Where files of the instance are.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.data(), Some(&self.place.path().join("run"))).unwrap()
    }

    /// What the instance's things are called.
    pub fn names(&self) -> Names {
        self.layout().names().clone()
    }

    /// Runs the command line.
    pub fn flynn(&self, args: &[&str]) -> Ran {
        self.flynn_at(self.place.path(), args)
    }

    /// Runs the command line in a folder.
    pub fn flynn_at(&self, folder: &Path, args: &[&str]) -> Ran {
        let mut command = Command::new(program("flynn"));
        Ran::of(command.args(args).current_dir(folder).env_clear().env("HOME", self.home()).env("PATH", self.path()))
    }

    /// Creates an app with a checkout that is pushed to it.
    pub fn create(&self, app: &str) -> Checkout {
        let checkout = Checkout::new(self.home(), self.path());
        self.flynn_at(checkout.folder(), &["create", app]).expect("flynn create");
        checkout
    }

    /// A checkout that belongs to no app.
    pub fn checkout(&self) -> Checkout {
        Checkout::new(self.home(), self.path())
    }

    /// Asks the app for a page, through the router.
    ///
    /// # Errors
    /// No answer came.
    pub fn page(&self, app: &str, path: &str) -> std::io::Result<Answer> {
        get(self.router(), &format!("{app}.localhost"), path)
    }

    /// Where the router writes a line for each request.
    pub fn access_log(&self) -> PathBuf {
        self.layout().log().join("access.log")
    }

    /// Waits until both base images are there to build with.
    pub fn wait_for_bases(&self) {
        let log = self.layout().log().join("flynn-host.log");
        eventually("both base images are there", Duration::from_secs(90), || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            if log.matches("base images: one was made").count() >= 2 { Ok(()) } else { Err(log) }
        });
    }

    /// The home of whoever is logged in.
    pub fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    fn path(&self) -> OsString {
        let mut path = program("flynn").parent().unwrap().as_os_str().to_owned();
        path.push(":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        path
    }

    /// Ends everything, and asserts that nothing is left.
    pub fn down(mut self) {
        self.end().expect("flynnd down");
        let names = self.names();
        let left = leaks::of(&names, self.place.path());
        assert!(left.is_empty(), "left behind: {left:#?}");
    }

    fn end(&mut self) -> Ran {
        let down = Ran::of(
            Command::new(program("flynnd"))
                .arg("down")
                .arg("--data-dir")
                .arg(self.data())
                .arg("--run-dir")
                .arg(self.place.path().join("run")),
        );
        if let Some(mut child) = self.flynnd.take() {
            let _ = child.wait();
        }
        down
    }
}

impl Drop for Rig {
    /// A test that failed leaves nothing either; what happened is printed.
    fn drop(&mut self) {
        if self.flynnd.is_some() || std::thread::panicking() {
            eprintln!("--- flynnd\n{}", self.log());
            let down = self.end();
            if down.code != Some(0) {
                eprintln!("--- flynnd down\n{}{}", down.stdout, down.stderr);
            }
        }
    }
}
