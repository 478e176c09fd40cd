//! The loop.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use flynn_core::{Clock, SystemClock, Timestamp};
use flynn_runtime::shim::{
    Answer, Command, Config, ExitRecord, Files, PROTOCOL, Phase, ProcessId, Request, ShimRecord, Tag, Target, Trouble,
    WireExit, boot_id, reserve_json, write_json,
};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::error;
use crate::clients::{Asker, Clients};
use crate::ending::{Ending, asks_to_end};
use crate::exec::{Execs, gone};
use crate::log::{Line, Log};
use crate::output::{Hub, Place};
use crate::tree;
use crate::work::Work;

/// After the end of the first process its output is read for so long at most: whoever else holds the pipe
/// may hold it for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// What is killed and does not die is reported, and tried again when the job is removed again.
const REMOVAL_LIMIT: Duration = Duration::from_secs(10);
/// How often the loop looks after what nothing wakes it for, while there is such a thing.
const TICK: Duration = Duration::from_millis(20);
/// The same where nothing is urgent.
const SLOW_TICK: Duration = Duration::from_secs(60);

pub(crate) struct Supervisor {
    files: Files,
    lock: File,
    lock_path: PathBuf,
    record: ShimRecord,
    work: Work,
    init: Option<Pid>,
    /// A signal that would end the program before all others have had it.
    ending: Option<Ending>,
    /// Whether it was asked to end.
    asked: bool,
    /// The first process has ended; the record follows when its output is read.
    ended: Option<Ended>,
    exit: Option<ExitRecord>,
    waiting: Vec<Asker>,
    hub: Hub,
    log: Log,
    execs: Execs,
    clients: Clients,
    signals: SignalFd,
    removal: Option<(Asker, Duration)>,
}

struct Ended {
    exit: WireExit,
    at: Timestamp,
    since: Duration,
}

#[derive(Clone, Copy)]
enum Token {
    Listener,
    Signals,
    Ending,
    Client(u64),
    Hub(Place),
    Exec(u64),
}

impl Supervisor {
    /// Gets the job ready.
    pub(crate) fn create(config: Config, lock: File) -> Result<Self, String> {
        let files = Files::new(config.directory.clone());
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None).map_err(|error| format!("block SIGCHLD: {error}"))?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(|error| format!("wait for SIGCHLD: {error}"))?;
        let log = Log::open(files.log(), config.log, elapsed()).map_err(|error| format!("open the log: {error}"))?;
        let record = ShimRecord {
            protocol: PROTOCOL,
            job: config.job,
            owner: config.owner.clone(),
            boot: boot_id().map_err(|error| format!("read the boot id: {error}"))?,
            shim: identity(std::process::id())?,
            init: None,
            phase: Phase::Created,
        };
        let (interactive, lock_path) = (config.interactive, config.lock.clone());
        let (work, init, ours) = Work::create(config, &files)?;
        // Later than the container's first process, which would hold it open after this one's death: then
        // whoever connects would wait for ever.
        let clients = Clients::listen(&files).map_err(|error| format!("bind the socket: {error}"))?;
        let hub = Hub::new(ours, interactive).map_err(|error| format!("prepare the streams: {error}"))?;
        let mut supervisor = Self {
            files,
            lock,
            lock_path,
            record,
            work,
            init,
            ending: None,
            asked: false,
            ended: None,
            exit: None,
            waiting: Vec::new(),
            hub,
            log,
            execs: Execs::default(),
            clients,
            signals,
            removal: None,
        };
        supervisor.record.init = init.map(|pid| identity(pid.as_raw().cast_unsigned())).transpose()?;
        supervisor.write_record().map_err(|error| format!("write the record: {error}"))?;
        // Whatever fills the disk meanwhile, maybe the job itself, its end can be told.
        reserve_json(&supervisor.files.exit()).map_err(|error| format!("reserve room for the exit: {error}"))?;
        Ok(supervisor)
    }

    /// Supervises until the job is removed.
    pub(crate) fn run(mut self) -> i32 {
        loop {
            let ready = self.wait();
            for (token, events) in ready {
                self.handle(token, events);
            }
            for client in self.clients.take_gone() {
                self.hub.detach(client);
                self.execs.hang_up(client);
                self.waiting.retain(|asker| asker.client != client);
            }
            self.advance_ending();
            self.finish();
            if self.is_removed() || self.is_forgotten() {
                return 0;
            }
        }
    }

    /// Whether the job has ended and its files were deleted behind this process's back: then nobody will ever
    /// ask for it.
    fn is_forgotten(&self) -> bool {
        self.exit.is_some() && !self.lock_path.exists()
    }

    fn wait(&self) -> Vec<(Token, PollFlags)> {
        let mut places = vec![
            (Token::Listener, self.clients.listener.as_fd(), PollFlags::IN),
            (Token::Signals, self.signals.as_fd(), PollFlags::IN),
        ];
        for (id, client) in &self.clients.all {
            let (end, flags) = client.poll();
            places.push((Token::Client(*id), end, flags));
        }
        self.hub.poll(|place, end, flags| places.push((Token::Hub(place), end, flags)));
        self.execs.poll(|id, end| places.push((Token::Exec(id), end, PollFlags::IN)));
        let ending = self.ending.as_ref();
        places.extend(ending.and_then(Ending::poll).map(|end| (Token::Ending, end, PollFlags::IN)));
        let mut list: Vec<_> = places.iter().map(|(_, end, flags)| PollFd::from_borrowed_fd(*end, *flags)).collect();
        let restless = self.removal.is_some()
            || (self.ended.is_some() && self.exit.is_none())
            || ending.is_some_and(Ending::is_restless);
        let tick = if restless { TICK } else { SLOW_TICK };
        let tick = Timespec { tv_sec: tick.as_secs().cast_signed(), tv_nsec: i64::from(tick.subsec_nanos()) };
        // An interrupted wait has no result, and the next one has it.
        let _ = poll(&mut list, Some(&tick));
        let ready = places.iter().zip(&list).map(|((token, ..), event)| (*token, event.revents()));
        ready.filter(|(_, events)| !events.is_empty()).collect()
    }

    fn handle(&mut self, token: Token, events: PollFlags) {
        match token {
            Token::Listener => self.clients.accept(),
            Token::Signals => self.reap(),
            // It has woken the loop, which goes on with it in any case.
            Token::Ending => {}
            Token::Client(id) => self.serve(id),
            Token::Hub(place) => {
                let (log, at, now) = (&mut self.log, SystemClock.now(), elapsed());
                self.hub.ready(place, events, |tag, line| log.write(tag, line, at, now));
            }
            Token::Exec(id) => self.execs.ready(id, &mut self.clients),
        }
    }

    fn reap(&mut self) {
        while matches!(self.signals.read_signal(), Ok(Some(_))) {}
        while let Some(tree::Ended { pid, exit }) = tree::reap() {
            let at = SystemClock.now();
            if Some(pid) == self.init && self.ended.is_none() {
                self.ending = None;
                let exit = self.work.judge(exit);
                if exit == WireExit::OutOfMemory {
                    self.say("the kernel killed it: its memory limit was reached");
                }
                self.end(exit, at);
            } else {
                self.execs.ended(pid, exit, at, &mut self.clients);
            }
        }
        if self.ended.is_some() && !self.work.ends_as_one() {
            // What cannot be listed now is killed when the job is removed.
            let _ = tree::kill_children();
        }
    }

    /// Tells the app's developer, in its log.
    fn say(&mut self, text: &str) {
        let line = Line { text: text.to_owned(), continued: false };
        self.log.write(Tag::Platform, line, SystemClock.now(), elapsed());
    }

    fn end(&mut self, exit: WireExit, at: Timestamp) {
        self.ended = Some(Ended { exit, at, since: elapsed() });
    }

    /// Writes the exit when the output is read, and tells all who wait.
    fn finish(&mut self) {
        let Some(ended) = self.ended.as_ref().filter(|_| self.exit.is_none()) else {
            return;
        };
        if !self.hub.is_drained() && elapsed().saturating_sub(ended.since) < LAST_WORDS {
            return;
        }
        let record = ExitRecord { protocol: PROTOCOL, exit: ended.exit.clone(), at: ended.at };
        self.log.finish(ended.at);
        if write_json(&self.files.exit(), &record).is_err() {
            // A full disk may have room later; the loop comes back here with every tick.
            return;
        }
        // Whoever watches the lock is woken by this.
        let _ = (&self.lock).write_all(b".");
        for asker in std::mem::take(&mut self.waiting) {
            self.clients.reply(asker, Answer::Ended { exit: record.clone() }, vec![]);
        }
        self.exit = Some(record);
    }

    fn serve(&mut self, id: u64) {
        let Some(client) = self.clients.all.get_mut(&id) else {
            return;
        };
        match client.flush().and_then(|()| client.receive()) {
            Ok(requests) => {
                for Request { id: request, command, .. } in requests {
                    self.answer(Asker { client: id, request }, command);
                }
            }
            Err(_) => self.clients.remove(id),
        }
    }

    fn answer(&mut self, asker: Asker, command: Command) {
        let answer = match command {
            Command::State => Answer::State { record: self.record.clone(), exit: self.exit.clone() },
            Command::Start => self.start(),
            Command::Signal { target, number } => self.signal(target, number),
            Command::Exec { process, terminal, interactive, user } => {
                if self.init.is_none() || self.record.phase == Phase::Created || self.ended.is_some() {
                    error(Trouble::Invalid, "the job does not run")
                } else if self.execs.is_full() {
                    error(Trouble::Failed, "too many further processes run")
                } else {
                    match self.work.exec(&process, terminal, interactive, user) {
                        Ok(further) => return self.execs.add(asker, further, &mut self.clients),
                        Err(reason) => error(Trouble::Failed, reason),
                    }
                }
            }
            Command::Attach if !self.hub.is_interactive() => {
                error(Trouble::Invalid, "its input and output go to the log only")
            }
            Command::Attach => match self.hub.attach(asker.client) {
                Ok(streams) => {
                    let (kinds, ends) = streams.into_iter().unzip();
                    let answer = Answer::Open { target: Target::Init, streams: kinds };
                    return self.clients.reply(asker, answer, ends);
                }
                Err(reason) => error(Trouble::Failed, reason.to_string()),
            },
            Command::Resize { target, rows, columns } => self.resize(target, rows, columns),
            Command::Wait { target: Target::Exec(id) } => return self.execs.wait(id, asker, &mut self.clients),
            Command::Wait { target: Target::Init } => match &self.exit {
                Some(exit) => Answer::Ended { exit: exit.clone() },
                None => return self.waiting.push(asker),
            },
            Command::Remove => {
                self.removal = Some((asker, elapsed()));
                return;
            }
        };
        self.clients.reply(asker, answer, vec![]);
    }

    fn start(&mut self) -> Answer {
        if self.record.phase != Phase::Created || self.ended.is_some() {
            return Answer::Done;
        }
        let started = self.work.start().and_then(|pid| {
            if let Some(pid) = pid {
                self.init = Some(pid);
                // It may have ended already; then its exit says all.
                self.record.init = ProcessId::of(pid.as_raw().cast_unsigned()).ok().flatten();
            }
            self.record.phase = Phase::Running(SystemClock.now());
            self.write_record().map_err(|error| format!("write the record: {error}"))
        });
        match started {
            Ok(()) => Answer::Done,
            Err(reason) => {
                if let Some(init) = self.init.take() {
                    // Not reaped yet, so the number is still its own.
                    let _ = kill(init, Signal::SIGKILL);
                }
                self.end(WireExit::NotStarted(reason.clone()), SystemClock.now());
                error(Trouble::Failed, reason)
            }
        }
    }

    fn signal(&mut self, target: Target, number: i32) -> Answer {
        let Ok(signal) = Signal::try_from(number) else {
            return error(Trouble::Invalid, format!("{number} is no signal"));
        };
        let init = match target {
            Target::Exec(id) => return self.execs.signal(id, signal),
            Target::Init if self.ended.is_some() => return Answer::Done,
            Target::Init => self.init,
        };
        // Before the program runs there is nobody to take a signal, except that to kill.
        match init {
            Some(init) if self.record.phase != Phase::Created || signal == Signal::SIGKILL => {
                self.signal_first(init, signal)
            }
            _ => Answer::Done,
        }
    }

    fn signal_first(&mut self, init: Pid, signal: Signal) -> Answer {
        if signal == Signal::SIGKILL && self.asked {
            self.say("it did not end when it was asked to, and was killed");
        }
        self.asked |= asks_to_end(signal);
        // Without a namespace of its own its end does not end the others. If its state cannot be read, it is asked
        // as if it handled the signal.
        if asks_to_end(signal)
            && self.work.ends_as_one()
            && let Ok(Some(ending)) = Ending::begin(init, signal)
        {
            self.ending = Some(ending);
            self.advance_ending();
            return Answer::Done;
        }
        if asks_to_end(signal) || signal == Signal::SIGKILL {
            // The program takes this one itself, and that decides its end.
            self.ending = None;
        }
        match kill(init, signal) {
            Ok(()) => Answer::Done,
            Err(reason) => error(Trouble::Failed, reason.desc()),
        }
    }

    fn advance_ending(&mut self) {
        // What cannot be read is read again with the next tick.
        if self.ending.as_mut().is_some_and(|ending| matches!(ending.advance(elapsed()), Ok(false))) {
            self.ending = None;
        }
    }

    fn resize(&self, target: Target, rows: u16, columns: u16) -> Answer {
        let terminal = match target {
            Target::Init => Some(self.hub.terminal()),
            Target::Exec(id) => self.execs.terminal(id),
        };
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        match terminal {
            None => gone(),
            Some(None) => Answer::Done,
            Some(Some(terminal)) => match rustix::termios::tcsetwinsize(terminal, size) {
                Ok(()) => Answer::Done,
                Err(reason) => error(Trouble::Failed, reason.to_string()),
            },
        }
    }

    /// Kills what is left. True when nothing is, and the asker has been told.
    fn is_removed(&mut self) -> bool {
        let Some((asker, since)) = self.removal else {
            return false;
        };
        match tree::kill_children() {
            Ok(false) => {
                self.clients.reply(asker, Answer::Done, vec![]);
                return true;
            }
            _ if elapsed().saturating_sub(since) < REMOVAL_LIMIT => {}
            Ok(true) => self.give_up(asker, "some processes do not die"),
            Err(reason) => self.give_up(asker, &reason.to_string()),
        }
        false
    }

    fn give_up(&mut self, asker: Asker, reason: &str) {
        self.removal = None;
        self.clients.reply(asker, error(Trouble::Failed, reason), vec![]);
    }

    fn write_record(&self) -> std::io::Result<()> {
        write_json(&self.files.shim(), &self.record)
    }
}

fn identity(pid: u32) -> Result<ProcessId, String> {
    match ProcessId::of(pid) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err("the first process died at once".to_owned()),
        Err(error) => Err(format!("read the start time of a process: {error}")),
    }
}

/// Time since the boot, which never runs backwards.
fn elapsed() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
