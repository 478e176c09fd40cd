//! A program that does not outlive this process, with its output in a file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The most bytes of a log.
const MOST_LOG: u64 = 8 << 20;
/// How many of the last lines are kept for a message.
const LAST: usize = 40;

/// The hold on the one child that runs at a time.
#[derive(Debug, Default)]
pub(super) struct Leash(Mutex<Held>);

#[derive(Debug, Default)]
enum Held {
    #[default]
    Free,
    Child(OwnedFd),
    Cut,
}

impl Leash {
    /// Kills the child, if there is one.
    pub(super) fn kill(&self) {
        if let Held::Child(child) = &*self.held() {
            // It fails only if the child is gone already.
            let _ = pidfd_send_signal(child, Signal::KILL);
        }
    }

    /// Kills the child, if there is one, and every later one as soon as it is started.
    pub(super) fn cut(&self) {
        self.kill();
        *self.held() = Held::Cut;
    }

    pub(super) fn is_cut(&self) -> bool {
        matches!(*self.held(), Held::Cut)
    }

    fn hold(&self, child: &mut Child) -> io::Result<()> {
        let mut held = self.held();
        if matches!(*held, Held::Cut) {
            return child.kill();
        }
        *held = Held::Child(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?);
        Ok(())
    }

    fn release(&self) {
        let mut held = self.held();
        if matches!(*held, Held::Child(_)) {
            *held = Held::Free;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The last lines of its output.
    pub(super) last: VecDeque<String>,
}

/// Runs `command` to its end, writes what it prints to the file `log`, and reports each line.
///
/// It blocks. The child is to be killed when its parent dies, which the kernel takes to be the thread that made it:
/// so this thread waits for it.
pub(super) fn run_logged(
    mut command: Command,
    log: &Path,
    leash: &Leash,
    mut report: impl FnMut(&str),
) -> io::Result<Ended> {
    let mut log = File::create(log)?;
    let (output, input) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    let mut child = command.spawn()?;
    // Else this process would hold the writing end of the pipe that it reads.
    drop(command);
    if let Err(error) = leash.hold(&mut child) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    let mut last = VecDeque::new();
    let read = read_lines(output, |line| {
        if log.metadata()?.len() < MOST_LOG {
            writeln!(log, "{line}")?;
        }
        report(line);
        if last.len() == LAST {
            last.pop_front();
        }
        last.push_back(line.to_owned());
        Ok(())
    });
    if read.is_err() {
        // Such as a full disk: nobody reads what else it says.
        leash.kill();
    }
    let status = child.wait();
    leash.release();
    read?;
    Ok(Ended { status: status?, last })
}

fn read_lines(output: impl io::Read, mut each: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without an end cannot take all memory: what is beyond 64 KiB is a line of its own.
        if io::Read::take(&mut output, 64 << 10).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(String::from_utf8_lossy(&line).trim_end())?;
    }
}
