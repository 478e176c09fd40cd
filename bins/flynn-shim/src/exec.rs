//! The further processes of a job.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use flynn_core::Timestamp;
use flynn_runtime::shim::{Answer, ExitRecord, PROTOCOL, StreamKind, Target, Trouble, WireExit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::error;
use crate::clients::{Asker, Clients};
use crate::container::{Entering, receive_terminal, without_program};
use crate::streams::Ours;
use crate::work::Further;

/// More at once are refused.
const MOST: usize = 128;

/// All of them, each kept until the connection that asked for it closes.
#[derive(Default)]
pub(crate) struct Execs {
    all: BTreeMap<u64, Exec>,
    next: u64,
    /// Ends of processes that may turn out to be one whose number is not known yet.
    unclaimed: Vec<(Pid, ExitRecord)>,
}

struct Exec {
    asker: Asker,
    /// A copy of the far side of its terminal, to tell it its size.
    terminal: Option<OwnedFd>,
    state: State,
    waiting: Vec<Asker>,
}

enum State {
    Entering {
        entering: Entering,
        answer: Vec<u8>,
    },
    Running(Pid),
    Ended(ExitRecord),
    /// It never ran; this is kept only until the list is cleaned.
    Failed,
}

impl Execs {
    pub(crate) fn is_full(&self) -> bool {
        self.all.len() >= MOST
    }

    pub(crate) fn add(&mut self, asker: Asker, further: Further, clients: &mut Clients) {
        let id = self.next;
        self.next += 1;
        let mut exec = Exec { asker, terminal: None, state: State::Failed, waiting: Vec::new() };
        match further {
            Further::Running(pid, ours) => exec.open(id, pid, ours, clients),
            Further::Entering(entering) => exec.state = State::Entering { entering, answer: Vec::new() },
        }
        self.all.insert(id, exec);
    }

    /// The descriptors to wait for.
    pub(crate) fn poll<'a>(&'a self, mut add: impl FnMut(u64, BorrowedFd<'a>)) {
        for (id, exec) in &self.all {
            if let State::Entering { entering, .. } = &exec.state {
                add(*id, entering.answer.as_fd());
            }
        }
    }

    /// Reads how the way of a process into the container went.
    pub(crate) fn ready(&mut self, id: u64, clients: &mut Clients) {
        let Some(exec) = self.all.get_mut(&id) else {
            return;
        };
        let State::Entering { entering, answer } = &mut exec.state else {
            return;
        };
        let mut buffer = [0; 4096];
        match rustix::io::read(&entering.answer, &mut buffer) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return,
            Ok(count) if count > 0 => {
                answer.extend_from_slice(&buffer[..count]);
                return;
            }
            Ok(_) | Err(_) => {}
        }
        let answer = String::from_utf8_lossy(answer).into_owned();
        let ours = match (entering.ours.take(), &entering.console) {
            (Some(ours), _) => Ok(ours),
            (None, Some(console)) => receive_terminal(console).map(|end| Ours::Terminal(Some(end))),
            (None, None) => Err("it has no streams".to_owned()),
        };
        let pid = answer.strip_prefix("pid ").and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
        match (pid, ours) {
            (Some(pid), Ok(ours)) => {
                exec.open(id, pid, ours, clients);
                if let Some(index) = self.unclaimed.iter().position(|(ended, _)| *ended == pid) {
                    let (_, record) = self.unclaimed.swap_remove(index);
                    exec.end(record, clients);
                }
            }
            (pid, ours) => {
                if let Some(pid) = pid {
                    // A child that was not reaped yet keeps its number.
                    let _ = kill(pid, Signal::SIGKILL);
                }
                let reason = answer.lines().find(|line| !line.is_empty()).map(str::to_owned);
                let reason = reason.map(|reason| without_program(&reason).unwrap_or(reason));
                let reason = reason.filter(|_| pid.is_none()).or(ours.err());
                let reason = reason.unwrap_or_else(|| "it died on its way".to_owned());
                clients.reply(exec.asker, error(Trouble::Failed, reason), vec![]);
                self.all.remove(&id);
            }
        }
        if !self.all.values().any(|exec| matches!(exec.state, State::Entering { .. })) {
            self.unclaimed.clear();
        }
    }

    /// Takes the end of a child that is not the first process.
    pub(crate) fn ended(&mut self, pid: Pid, exit: WireExit, at: Timestamp, clients: &mut Clients) {
        let record = ExitRecord { protocol: PROTOCOL, exit, at };
        let running = |exec: &&mut Exec| matches!(exec.state, State::Running(running) if running == pid);
        if let Some(exec) = self.all.values_mut().find(running) {
            exec.end(record, clients);
        } else if self.all.values().any(|exec| matches!(exec.state, State::Entering { .. })) {
            self.unclaimed.push((pid, record));
        }
    }

    pub(crate) fn wait(&mut self, id: u64, asker: Asker, clients: &mut Clients) {
        match self.all.get_mut(&id) {
            Some(Exec { state: State::Ended(record), .. }) => {
                let exit = record.clone();
                clients.reply(asker, Answer::Ended { exit }, vec![]);
            }
            Some(exec) => exec.waiting.push(asker),
            None => clients.reply(asker, gone(), vec![]),
        }
    }

    pub(crate) fn signal(&self, id: u64, signal: Signal) -> Answer {
        match self.all.get(&id).map(|exec| &exec.state) {
            Some(State::Running(pid)) => match kill(*pid, signal) {
                Ok(()) => Answer::Done,
                Err(reason) => error(Trouble::Failed, reason.desc()),
            },
            Some(_) => Answer::Done,
            None => gone(),
        }
    }

    /// The terminal of a process, if it has one; nothing if there is no such process.
    pub(crate) fn terminal(&self, id: u64) -> Option<Option<BorrowedFd<'_>>> {
        self.all.get(&id).map(|exec| exec.terminal.as_ref().map(AsFd::as_fd))
    }

    /// Hangs up on what was run through a connection that has closed.
    pub(crate) fn hang_up(&mut self, client: u64) {
        self.all.retain(|_, exec| {
            if exec.asker.client != client {
                exec.waiting.retain(|asker| asker.client != client);
                return true;
            }
            if let State::Running(pid) = exec.state {
                // It leads a session of its own, so this reaches what it started too, and nothing else.
                let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGHUP);
            }
            false
        });
    }
}

impl Exec {
    fn open(&mut self, id: u64, pid: Pid, ours: Ours, clients: &mut Clients) {
        if let Ours::Terminal(Some(end)) = &ours {
            // Without the copy its size cannot be told, and that is all.
            self.terminal = end.try_clone().ok();
        }
        let (kinds, ends): (Vec<StreamKind>, Vec<OwnedFd>) = ours.into_streams().into_iter().unzip();
        let answer = Answer::Open { target: Target::Exec(id), streams: kinds };
        clients.reply(self.asker, answer, ends);
        self.state = State::Running(pid);
    }

    fn end(&mut self, record: ExitRecord, clients: &mut Clients) {
        self.terminal = None;
        for asker in self.waiting.drain(..) {
            clients.reply(asker, Answer::Ended { exit: record.clone() }, vec![]);
        }
        self.state = State::Ended(record);
    }
}

pub(crate) fn gone() -> Answer {
    error(Trouble::NotFound, "there is no such process")
}
