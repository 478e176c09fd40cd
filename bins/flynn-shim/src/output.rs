//! Between the streams of the first process, the log, and those who are attached.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use flynn_runtime::shim::{StreamKind, Tag};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::log::{Cutter, Line};
use crate::streams::{Ours, unblock};

/// A stream is not read further while somebody attached has so much of it still to take.
const MOST_PENDING: usize = 64 << 10;

/// Which of the two streams of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Output,
    Errors,
}

/// What can happen on a descriptor of this part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Input,
    Stream(Which),
    Attached(u64, Which),
}

#[derive(Debug)]
pub(crate) struct Hub {
    ours: Ours,
    /// Whether the first process was made for being attached to.
    interactive: bool,
    cutters: [Cutter; 2],
    attached: Vec<Attached>,
    next: u64,
    input: Vec<u8>,
    input_ends: bool,
}

/// Somebody attached. Output goes to them at their own pace, and the process waits for them as it would
/// for whoever reads its pipe.
#[derive(Debug)]
struct Attached {
    id: u64,
    client: u64,
    output: Channel,
    errors: Option<Channel>,
    reading: bool,
}

#[derive(Debug)]
struct Channel {
    stream: UnixStream,
    pending: Vec<u8>,
    ending: bool,
    ended: bool,
}

impl Hub {
    pub(crate) fn new(ours: Ours, interactive: bool) -> io::Result<Self> {
        match &ours {
            Ours::Pipes { input, output, errors } => {
                for end in [input, output, errors].into_iter().flatten() {
                    unblock(end.as_fd())?;
                }
            }
            Ours::Terminal(terminal) => {
                if let Some(terminal) = terminal {
                    unblock(terminal.as_fd())?;
                }
            }
        }
        let cutters = [Cutter::default(), Cutter::default()];
        Ok(Self { ours, interactive, cutters, attached: vec![], next: 0, input: vec![], input_ends: false })
    }

    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Whether all output has been read to its end.
    pub(crate) fn is_drained(&self) -> bool {
        [Which::Output, Which::Errors].into_iter().all(|which| self.stream(which).is_none())
    }

    pub(crate) fn terminal(&self) -> Option<BorrowedFd<'_>> {
        match &self.ours {
            Ours::Terminal(terminal) => terminal.as_ref().map(AsFd::as_fd),
            Ours::Pipes { .. } => None,
        }
    }

    fn stream(&self, which: Which) -> Option<BorrowedFd<'_>> {
        match (&self.ours, which) {
            (Ours::Pipes { output, .. }, Which::Output) => output.as_ref().map(AsFd::as_fd),
            (Ours::Pipes { errors, .. }, Which::Errors) => errors.as_ref().map(AsFd::as_fd),
            (Ours::Terminal(terminal), Which::Output) => terminal.as_ref().map(AsFd::as_fd),
            (Ours::Terminal(_), Which::Errors) => None,
        }
    }

    fn close(&mut self, which: Which) {
        match (&mut self.ours, which) {
            (Ours::Pipes { output, .. }, Which::Output) => *output = None,
            (Ours::Pipes { errors, .. }, Which::Errors) => *errors = None,
            (Ours::Terminal(terminal), _) => *terminal = None,
        }
        for attached in &mut self.attached {
            if let Some(channel) = attached.channel(which) {
                channel.ending = true;
                channel.flush();
            }
        }
    }

    /// The descriptors to wait for.
    pub(crate) fn poll<'a>(&'a self, mut add: impl FnMut(Place, BorrowedFd<'a>, PollFlags)) {
        for which in [Which::Output, Which::Errors] {
            let held = self.attached.iter().any(|attached| attached.has_too_much(which));
            if let (false, Some(stream)) = (held, self.stream(which)) {
                add(Place::Stream(which), stream, PollFlags::IN);
            }
        }
        if let (false, Some(input)) = (self.input.is_empty(), self.ours.input()) {
            add(Place::Input, input, PollFlags::OUT);
        }
        for attached in &self.attached {
            let mut flags = if attached.output.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            if attached.reading && self.input.len() < MOST_PENDING {
                flags |= PollFlags::IN;
            }
            add(Place::Attached(attached.id, Which::Output), attached.output.stream.as_fd(), flags);
            if let Some(errors) = attached.errors.as_ref().filter(|errors| !errors.ended) {
                let flags = if errors.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
                add(Place::Attached(attached.id, Which::Errors), errors.stream.as_fd(), flags);
            }
        }
    }

    /// Does what can be done at `place`; what goes to the log is handed to `log`.
    pub(crate) fn ready(&mut self, place: Place, events: PollFlags, mut log: impl FnMut(Tag, Line)) {
        match place {
            Place::Input => self.write_input(),
            Place::Stream(which) => self.read_output(which, &mut log),
            Place::Attached(id, which) => self.serve(id, which, events),
        }
    }

    fn read_output(&mut self, which: Which, log: &mut impl FnMut(Tag, Line)) {
        let mut buffer = [0; 32 << 10];
        let (index, tag) = match which {
            Which::Output => (0, Tag::Output),
            Which::Errors => (1, Tag::Errors),
        };
        let Some(stream) = self.stream(which) else {
            return;
        };
        match rustix::io::read(stream, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A terminal whose last user is gone gives EIO.
            Ok(0) | Err(_) => {
                if let Some(line) = self.cutters[index].finish() {
                    log(tag, line);
                }
                self.close(which);
            }
            Ok(count) => {
                for line in self.cutters[index].feed(&buffer[..count]) {
                    log(tag, line);
                }
                for attached in &mut self.attached {
                    if let Some(channel) = attached.channel(which) {
                        channel.send(&buffer[..count]);
                    }
                }
            }
        }
    }

    fn write_input(&mut self) {
        let Some(input) = self.ours.input() else {
            self.input.clear();
            return;
        };
        match rustix::io::write(input, &self.input) {
            Ok(count) => drop(self.input.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                self.input.clear();
                self.input_ends = true;
            }
        }
        self.end_input();
    }

    fn end_input(&mut self) {
        if let (true, true, Ours::Pipes { input, .. }) = (self.input_ends, self.input.is_empty(), &mut self.ours) {
            *input = None;
        }
    }

    fn serve(&mut self, id: u64, which: Which, events: PollFlags) {
        let Some(index) = self.attached.iter().position(|attached| attached.id == id) else {
            return;
        };
        let attached = &mut self.attached[index];
        if which == Which::Output && events.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.attached.remove(index);
            return;
        }
        if let Some(channel) = attached.channel(which) {
            if events.intersects(PollFlags::HUP | PollFlags::ERR) {
                channel.pending.clear();
                channel.ending = true;
            }
            channel.flush();
        }
        if which == Which::Output && events.contains(PollFlags::IN) {
            let mut buffer = [0; 16 << 10];
            match rustix::io::read(&attached.output.stream, &mut buffer) {
                Ok(0) => {
                    attached.reading = false;
                    self.input_ends = true;
                    self.end_input();
                }
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    self.write_input();
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => drop(self.attached.remove(index)),
            }
        }
    }

    /// Lets `client` join, and gives back the ends for it.
    pub(crate) fn attach(&mut self, client: u64) -> io::Result<Vec<(StreamKind, OwnedFd)>> {
        let (output, theirs) = Channel::pair()?;
        let mut streams = vec![(StreamKind::Both, theirs)];
        let errors = match &self.ours {
            Ours::Pipes { .. } => {
                let (errors, theirs) = Channel::pair()?;
                streams.push((StreamKind::Errors, theirs));
                Some(errors)
            }
            Ours::Terminal(_) => None,
        };
        let id = self.next;
        self.next += 1;
        let mut attached = Attached { id, client, output, errors, reading: true };
        for which in [Which::Output, Which::Errors] {
            if let (None, Some(channel)) = (self.stream(which), attached.channel(which)) {
                channel.ending = true;
                channel.flush();
            }
        }
        self.attached.push(attached);
        Ok(streams)
    }

    /// Forgets whoever was attached through this connection.
    pub(crate) fn detach(&mut self, client: u64) {
        self.attached.retain(|attached| attached.client != client);
    }
}

impl Attached {
    fn channel(&mut self, which: Which) -> Option<&mut Channel> {
        match which {
            Which::Output => Some(&mut self.output),
            Which::Errors => self.errors.as_mut(),
        }
    }

    fn has_too_much(&self, which: Which) -> bool {
        let channel = match which {
            Which::Output => Some(&self.output),
            Which::Errors => self.errors.as_ref(),
        };
        channel.is_some_and(|channel| channel.pending.len() >= MOST_PENDING)
    }
}

impl Channel {
    fn pair() -> io::Result<(Self, OwnedFd)> {
        let (stream, theirs) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        Ok((Self { stream, pending: vec![], ending: false, ended: false }, theirs.into()))
    }

    fn send(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.pending.extend_from_slice(bytes);
            self.flush();
        }
    }

    fn flush(&mut self) {
        while !self.pending.is_empty() {
            match rustix::net::send(&self.stream, &self.pending, rustix::net::SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.pending.clear();
                    self.ending = true;
                }
            }
        }
        if self.ending && !self.ended {
            self.ended = true;
            // Whoever is gone needs no end.
            let _ = self.stream.shutdown(std::net::Shutdown::Write);
        }
    }
}
