//! A terminal with a program in it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::world::World;

/// The terminal, and the program whose controlling terminal it is.
pub(crate) struct Pty {
    master: File,
    slave: File,
    shown: Arc<(Mutex<String>, Condvar)>,
    pub(crate) child: Child,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Pty {
    /// Starts the program with these words in a terminal of 24 rows and 80 columns.
    pub(crate) fn start(world: &World, words: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = File::from(rustix::fs::open(ptsname(&master, Vec::new()).unwrap(), flags, Mode::empty()).unwrap());
        let master = File::from(master);
        resize(&master, 24, 80);
        // It makes the terminal the controlling one, so that the program hears of sizes.
        let mut command: Command = world.command("setsid");
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        command.arg("--ctty").arg(crate::world::program()).args(words);
        command.env("TERM", "xterm").stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().unwrap();
        let shown = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let (mut reader, text) = (master.try_clone().unwrap(), shown.clone());
        // It ends when the last end of the terminal is closed.
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                text.0.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
                text.1.notify_all();
            }
        });
        Self { master, slave, shown, child }
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        resize(&self.master, rows, columns);
    }

    pub(crate) fn type_in(&mut self, bytes: &[u8]) {
        self.master.write_all(bytes).unwrap();
    }

    /// Waits until a text was shown.
    pub(crate) fn until(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut shown = self.shown.0.lock().unwrap();
        while !shown.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "`{text}` is not shown, but {shown:?}");
            shown = self.shown.1.wait_timeout(shown, left).unwrap().0;
        }
    }

    /// Whether what is typed is edited in lines and shown, as a shell leaves a terminal.
    pub(crate) fn is_cooked(&self) -> bool {
        let modes = tcgetattr(self.slave.as_fd()).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the program and gives its code.
    pub(crate) async fn code(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.expect("the program does not end").unwrap().code()
    }
}

fn resize(master: &File, rows: u16, columns: u16) {
    tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}
