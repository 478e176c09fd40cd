//! A job as a container.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flynn_core::JobId;
use flynn_core::noun::Exit;
use flynn_runtime::shim::{ContainerWork, Files, RootMount, WireExit};
use libcontainer::container::Container as Youki;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::unistd::{ForkResult, Pid, fork};
use oci_spec::runtime::{Process, Spec};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::pipe::PipeFlags;
use rustix::process::umask;

use crate::clients::bind;
use crate::executor::{Reporting, chain};
use crate::filter::{self, Filter};
use crate::init;
use crate::root;
use crate::streams::{Ours, Theirs, pipes};

/// A program may be slow to come from a disk, but not so slow.
const START_LIMIT: Duration = Duration::from_secs(30);
const CONSOLE: &str = "console.sock";

/// A created container.
pub(crate) struct Container {
    files: Files,
    id: String,
    init: Pid,
    filter: Option<Filter>,
    /// Speaks up if the program cannot be run; until then it is open.
    report: Option<OwnedFd>,
    /// Where its first process says how the program ended.
    status: OwnedFd,
}

/// A process on its way into the container.
pub(crate) struct Entering {
    /// Says `pid N` or why it failed.
    pub(crate) answer: OwnedFd,
    pub(crate) ours: Option<Ours>,
    pub(crate) console: Option<UnixListener>,
}

impl Container {
    pub(crate) fn init(&self) -> Pid {
        self.init
    }

    /// Makes the container up to the point where only the program is missing.
    pub(crate) fn create(
        files: &Files,
        job: JobId,
        mut work: ContainerWork,
        terminal: bool,
        interactive: bool,
        user: (u32, u32),
    ) -> Result<(Self, Ours), String> {
        let state = files.state();
        root::leave().map_err(|error| format!("make a mount namespace: {error}"))?;
        fs::DirBuilder::new().mode(0o700).create(&state).map_err(|error| format!("make scratch space: {error}"))?;
        let target =
            root::assemble(&work.root, &state).map_err(|error| format!("mount the root file system: {error}"))?;
        if let Some(root) = work.spec.root_mut() {
            root.set_path(target);
            root.set_readonly(Some(matches!(work.root, RootMount::ReadOnly(_))));
        }
        let filter = take_filter(&mut work).map_err(|error| format!("compile the system call filter: {error}"))?;
        let bundle = Bundle::write(&state, &work.spec).map_err(|error| format!("write the bundle: {error}"))?;

        let (report, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("pipe: {error}"))?;
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (status, told) = rustix::pipe::pipe_with(flags).map_err(|error| format!("pipe: {error}"))?;
        let id = job.to_string();
        let executor = Reporting { report: theirs.as_raw_fd(), status: Some(told.as_raw_fd()), filter: filter.clone() };
        let builder = ContainerBuilder::new(id.clone(), SyscallType::default())
            .with_root_path(state.join("oci"))
            .map_err(|error| chain(&error))?
            .with_executor(executor);
        let Streams { builder, ours, console } = give_streams(files, builder, terminal, interactive, user)?;
        // Directories that it makes as mount points are for everybody inside.
        let own = umask(Mode::from_raw_mode(0o022));
        let container = builder.as_init(&bundle.directory).with_systemd(false).with_detach(true).build();
        umask(own);
        // From here on the file serves further processes, which bring their own environment.
        bundle.forget_secrets(work.spec).map_err(|error| format!("clean the bundle: {error}"))?;
        let container = container.map_err(|error| without_steps(&chain(&error)))?;
        drop((theirs, told));
        let init = container.pid().ok_or("the container has no first process")?;
        let ours = match (ours, console) {
            (Some(ours), _) => ours,
            (None, Some(console)) => Ours::Terminal(Some(receive_terminal(&console)?)),
            (None, None) => return Err("the container has no streams".to_owned()),
        };
        let init = Pid::from_raw(init.as_raw());
        Ok((Self { files: files.clone(), id, init, filter, report: Some(report), status }, ours))
    }

    /// Runs the program.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        let report = self.report.take().ok_or("it was started before")?;
        let mut container = Youki::load(self.directory().join(&self.id)).map_err(|error| chain(&error))?;
        container.start().map_err(|error| chain(&error))?;
        let limit = START_LIMIT.try_into().map_err(|_| "the limit is no time")?;
        let events = poll(&mut [PollFd::new(&report, PollFlags::IN)], Some(&limit));
        if events.map_err(|error| format!("wait for the program: {error}"))? == 0 {
            return Err(format!("the program did not run within {} seconds", START_LIMIT.as_secs()));
        }
        let mut reason = String::new();
        File::from(report).read_to_string(&mut reason).map_err(|error| format!("wait for the program: {error}"))?;
        if reason.is_empty() { Ok(()) } else { Err(reason) }
    }

    /// How the program ended, if it did so before its first process was ended.
    pub(crate) fn verdict(&self) -> Option<WireExit> {
        let mut bytes = [0; 5];
        let count = rustix::io::read(&self.status, &mut bytes).ok()?;
        init::decode(&bytes[..count])
    }

    fn directory(&self) -> PathBuf {
        self.files.state().join("oci")
    }

    /// Runs a further process with the same confinement. libcontainer blocks while it does so, therefore it
    /// does it in a child, which ends when the new process is there; that becomes a child of this one.
    pub(crate) fn enter(
        &self,
        process: &Process,
        terminal: bool,
        interactive: bool,
        user: (u32, u32),
    ) -> Result<Entering, String> {
        let (answer, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("pipe: {error}"))?;
        let executor = Reporting { report: theirs.as_raw_fd(), status: None, filter: self.filter.clone() };
        let described = in_memory(process).map_err(|error| format!("describe the process: {error}"))?;
        let builder = ContainerBuilder::new(self.id.clone(), SyscallType::default())
            .with_root_path(self.directory())
            .map_err(|error| chain(&error))?
            .with_executor(executor);
        let Streams { builder, ours, console } = give_streams(&self.files, builder, terminal, interactive, user)?;
        let builder = builder
            .as_tenant()
            .with_process(Some(format!("/proc/self/fd/{}", described.as_raw_fd())))
            .with_detach(true)
            .as_sibling(true);
        // SAFETY: this process has one thread, so the child finds every lock free.
        match unsafe { fork() }.map_err(|error| format!("fork: {error}"))? {
            ForkResult::Parent { .. } => Ok(Entering { answer, ours, console }),
            ForkResult::Child => {
                // Should the shim die, nothing may enter the container after it was swept.
                let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
                let text = match builder.build() {
                    Ok(pid) => format!("pid {pid}"),
                    // The executor may have told the true reason before.
                    Err(error) => format!("\n{}", chain(&error)),
                };
                // Without an answer the shim takes the attempt as failed.
                let _ = File::from(theirs).write_all(text.as_bytes());
                std::process::exit(0)
            }
        }
    }
}

/// The filter of all processes of a container, which is not left to libcontainer.
fn take_filter(work: &mut ContainerWork) -> Result<Option<Filter>, String> {
    let compiled = work.filter.take();
    let Some(linux) = work.spec.linux_mut() else {
        return Ok(None);
    };
    let Some(described) = linux.seccomp().clone() else {
        return Ok(None);
    };
    linux.set_seccomp(None);
    match compiled {
        Some(program) => Ok(Some(Filter { program, flags: 0 })),
        None => filter::compile(&described).map(Some),
    }
}

struct Streams {
    builder: ContainerBuilder,
    ours: Option<Ours>,
    console: Option<UnixListener>,
}

fn give_streams(
    files: &Files,
    builder: ContainerBuilder,
    terminal: bool,
    interactive: bool,
    user: (u32, u32),
) -> Result<Streams, String> {
    if terminal {
        let path = files.directory.join(CONSOLE);
        // One left by an earlier process is of no more use.
        let _ = fs::remove_file(&path);
        let console = bind(files, CONSOLE).map_err(|error| format!("listen for the terminal: {error}"))?;
        let builder = builder.with_console_socket(Some(path));
        return Ok(Streams { builder, ours: None, console: Some(console) });
    }
    let (Theirs { stdin, stdout, stderr }, ours) =
        pipes(interactive, user).map_err(|error| format!("make pipes: {error}"))?;
    let builder = builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr);
    Ok(Streams { builder, ours: Some(ours), console: None })
}

/// Takes the terminal that the new process sent before it was ready.
pub(crate) fn receive_terminal(console: &UnixListener) -> Result<OwnedFd, String> {
    let (stream, _) = console.accept().map_err(|error| format!("take the terminal: {error}"))?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0; 4096];
    let mut parts = [io::IoSliceMut::new(&mut buffer)];
    rustix::net::recvmsg(&stream, &mut parts, &mut control, rustix::net::RecvFlags::CMSG_CLOEXEC)
        .map_err(|error| format!("take the terminal: {error}"))?;
    for message in control.drain() {
        if let rustix::net::RecvAncillaryMessage::ScmRights(mut ends) = message
            && let Some(end) = ends.next()
        {
            return Ok(end);
        }
    }
    Err("the new process sent no terminal".to_owned())
}

/// A file without a name, so that the environment in it never meets a disk.
fn in_memory(process: &Process) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("process", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(&serde_json::to_vec(process)?)?;
    Ok(file.into())
}

/// What is wrong with the program, where libcontainer says so after all the steps that led to it.
fn without_steps(reason: &str) -> String {
    let (_, problem) = reason.rsplit_once("error in executing process : ").unwrap_or_default();
    let problem = if problem.is_empty() { reason } else { problem };
    without_program(problem).unwrap_or_else(|| problem.to_owned())
}

/// The same reason in the platform's words, if it is that there is no such program.
pub(crate) fn without_program(reason: &str) -> Option<String> {
    let (_, rest) = reason.rsplit_once("executable '")?;
    let (program, _) = rest.rsplit_once("' not found in $PATH")?;
    Some(format!("{}`{program}`, by its path or in PATH", Exit::NO_PROGRAM))
}

/// The directory that libcontainer reads a container's specification from.
struct Bundle {
    directory: PathBuf,
}

impl Bundle {
    /// Writes the specification to memory that only this process and its children see.
    fn write(state: &Path, spec: &Spec) -> io::Result<Self> {
        let directory = state.join("bundle");
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let flags = rustix::mount::MountFlags::NODEV | rustix::mount::MountFlags::NOEXEC;
        rustix::mount::mount("tmpfs", &directory, "tmpfs", flags, Some(c"size=8m,mode=0700"))?;
        let bundle = Self { directory };
        bundle.put(spec)?;
        Ok(bundle)
    }

    fn put(&self, spec: &Spec) -> io::Result<()> {
        let path = self.directory.join("config.json");
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        serde_json::to_writer(io::BufWriter::new(file), spec).map_err(io::Error::from)
    }

    fn forget_secrets(&self, mut spec: Spec) -> io::Result<()> {
        if let Some(process) = spec.process_mut() {
            process.set_env(None);
        }
        self.put(&spec)
    }
}
