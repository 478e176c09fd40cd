use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use flynn_instance::{Layout, Names, Post, Record};
use tempfile::TempDir;

use crate::ports::Port;
use crate::reboot::Boot;
use crate::{Answer, Checkout, SmallDisk, bases, eventually, get, leaks, program};

/// How a rig is started.
#[derive(Debug, Clone, Default)]
pub struct RigOptions {
    /// Further arguments of `flynnd`.
    pub arguments: Vec<OsString>,
    /// The bytes of a file system of its own for the data directory.
    pub disk: Option<u64>,
}

/// A running instance of Flynn, with somebody who is logged in to it.
#[derive(Debug)]
pub struct Rig {
    /// Unmounted before its place is removed.
    disk: Option<SmallDisk>,
    place: TempDir,
    listen: Port,
    http: Port,
    https: Port,
    options: RigOptions,
    flynnd: Option<Child>,
    /// Whether there is something to take down.
    runs: bool,
    pub(crate) boot: Option<Boot>,
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
    /// Runs a program to its end, without input.
    pub fn of(command: &mut Command) -> Self {
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
        let mut rig = Self::prepare(options);
        rig.start_flynnd();
        let (socket, url) = (rig.layout().socket().display().to_string(), format!("http://{}", rig.api()));
        rig.flynn(&["login", "--socket", &socket, "--url", &url]).expect("flynn login");
        rig
    }

    /// The place of an instance of which nothing runs yet.
    pub fn prepare(options: RigOptions) -> Self {
        let place = tempfile::Builder::new().prefix("flynn-rig-").tempdir().unwrap();
        // Routers and others who are not root pass through.
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(place.path().join("home")).unwrap();
        let disk = options
            .disk
            .map(|bytes| SmallDisk::mount(&place.path().join("disk.img"), place.path().join("data"), bytes));
        let [listen, http, https] = [(); 3].map(|()| Port::claim());
        Self { disk, place, listen, http, https, options, flynnd: None, runs: false, boot: None }
    }

    /// The control plane of this instance, not started yet.
    pub fn flynnd(&self) -> Command {
        let [run, build] = bases();
        let mut command = self.command("flynnd");
        self.name_place(&mut command);
        command
            .args(["--listen", &self.api().to_string(), "--http", &self.router().to_string()])
            .args(["--https", &self.secure_router().to_string()])
            .arg(format!("--host-option=--run-base={}", run.display()))
            .arg(format!("--host-option=--build-base={}", build.display()))
            .args(&self.options.arguments);
        command
    }

    fn name_place(&self, command: &mut Command) {
        command.arg("--data-dir").arg(self.data()).arg("--run-dir").arg(self.place().join("run"));
    }

    /// Starts `flynnd`, which must not run, and waits until it is ready.
    pub fn start_flynnd(&mut self) {
        self.start_flynnd_until("/readyz");
    }

    /// Starts `flynnd`, which must not run, and waits until it serves this page.
    pub fn start_flynnd_until(&mut self, page: &str) {
        assert!(self.flynnd.is_none(), "flynnd runs already");
        self.spawn_flynnd();
        assert!(self.wait_until_serves(page), "flynnd ended at its start:\n{}", self.log());
    }

    fn spawn_flynnd(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.place().join("flynnd.log")).unwrap();
        let mut command = self.flynnd();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.runs = true;
        self.flynnd = Some(child);
    }

    /// Starts `flynnd` again if it has died, as a service manager does. Answers whether it had.
    pub fn revive_flynnd(&mut self) -> bool {
        let is_dead = |child: &mut Child| child.try_wait().unwrap().is_some();
        if !self.flynnd.as_mut().is_some_and(is_dead) {
            return false;
        }
        self.flynnd = None;
        self.spawn_flynnd();
        // It may die again meanwhile.
        self.wait_until_serves("/readyz");
        true
    }

    /// Whether `flynnd` serves this page; otherwise it has ended.
    fn wait_until_serves(&mut self, page: &str) -> bool {
        let api = self.api();
        let child = self.flynnd.as_mut().unwrap();
        let serves = eventually("flynnd answers", START, || {
            if child.try_wait().unwrap().is_some() {
                return Ok(false);
            }
            match get(api, "localhost", page) {
                Ok(Answer { status: 200, .. }) => Ok(true),
                other => Err(other),
            }
        });
        if let (Some(boot), Some(child)) = (&mut self.boot, &self.flynnd) {
            boot.keep(child.id());
        }
        serves
    }

    /// Kills `flynnd` as by `kill -9`.
    pub fn kill_flynnd(&mut self) {
        let mut child = self.flynnd.take().expect("flynnd runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends `flynnd` alone, as an operator does.
    pub fn stop_flynnd(&mut self) -> ExitStatus {
        let mut child = self.flynnd.take().expect("flynnd runs");
        // It is a child of this process and stays as a zombie until it is waited for, which counts as alive.
        let reaper = std::thread::spawn(move || child.wait().unwrap());
        self.tell_flynnd("stop").expect("flynnd stop");
        reaper.join().unwrap()
    }

    /// The file system of the data directory, if it has one of its own.
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("the rig has a disk")
    }

    /// Runs a command of `flynnd` about this instance.
    pub fn tell_flynnd(&self, command: &str) -> Ran {
        let mut flynnd = self.command("flynnd");
        flynnd.arg(command);
        self.name_place(&mut flynnd);
        Ran::of(&mut flynnd)
    }

    /// The process that runs as this program of the instance.
    pub fn holder(&self, program: &str) -> Option<Record> {
        let layout = self.layout();
        let post = if program == "flynnd" { layout.control_post() } else { layout.post(program) };
        Post::holder(&post).unwrap()
    }

    /// The process of `flynnd`.
    pub fn flynnd_pid(&self) -> u32 {
        self.flynnd.as_ref().expect("flynnd runs").id()
    }

    pub(crate) fn flynnd_runs(&self) -> bool {
        self.flynnd.is_some()
    }

    /// A program of the platform, to be run in the present boot of the machine.
    fn command(&self, name: &str) -> Command {
        match &self.boot {
            Some(boot) => boot.command(&program(name)),
            None => Command::new(program(name)),
        }
    }

    /// What `flynnd` wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.place().join("flynnd.log")).unwrap_or_default()
    }

    /// Where API and git are.
    pub fn api(&self) -> SocketAddr {
        self.listen.address()
    }

    /// Where apps are served.
    pub fn router(&self) -> SocketAddr {
        self.http.address()
    }

    /// Where apps are served over TLS.
    pub fn secure_router(&self) -> SocketAddr {
        self.https.address()
    }

    /// Everything of the instance that is a file.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.place().join("data")
    }

    /// Where files of the instance are.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.data(), Some(&self.place().join("run"))).unwrap()
    }

    /// What the instance's things are called.
    pub fn names(&self) -> Names {
        self.layout().names().clone()
    }

    /// Runs the command line.
    pub fn flynn(&self, args: &[&str]) -> Ran {
        self.flynn_at(self.place(), args)
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
        self.layout().access_log()
    }

    /// Waits until both base images are there to build with, and unpacked.
    pub fn wait_for_bases(&self) {
        let log = self.layout().log().join("flynn-host.log");
        eventually("both base images are there", Duration::from_secs(90), || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            if log.matches("base images: one is unpacked").count() >= 2 { Ok(()) } else { Err(log) }
        });
    }

    /// The home of whoever is logged in.
    pub fn home(&self) -> PathBuf {
        self.place().join("home")
    }

    fn path(&self) -> OsString {
        let mut path = program("flynn").parent().unwrap().as_os_str().to_owned();
        path.push(":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        path
    }

    /// Ends everything, and asserts that nothing is left.
    pub fn down(mut self) {
        // Without its bridge, nothing says of a link whose it is.
        let links = leaks::links(&self.names());
        self.take_down().expect("flynnd down");
        let mut left = leaks::of(&self.layout());
        left.extend(links.into_iter().filter(|link| Path::new("/sys/class/net").join(link).exists()));
        left.extend(leaks::of_content(&self.layout()));
        left.extend(self.boot.iter().flat_map(|boot| boot.mounts(self.place())));
        self.disk.take().into_iter().for_each(SmallDisk::unmount);
        assert!(left.is_empty(), "left behind: {left:#?}");
    }

    /// Ends everything but the data.
    pub fn take_down(&mut self) -> Ran {
        let reaper = self.flynnd.take().map(|mut child| std::thread::spawn(move || child.wait()));
        let down = self.tell_flynnd("down");
        if down.code == Some(0) {
            self.runs = false;
            reaper.map(|reaper| reaper.join());
        }
        down
    }
}

impl Drop for Rig {
    /// A test that failed leaves nothing either; what happened is printed.
    fn drop(&mut self) {
        if self.runs {
            eprintln!("--- flynnd\n{}", self.log());
            let down = self.take_down();
            if down.code != Some(0) {
                eprintln!("--- flynnd down\n{}{}", down.stdout, down.stderr);
            }
        }
    }
}
