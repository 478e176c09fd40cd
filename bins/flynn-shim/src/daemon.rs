//! From the process that was started to the one that stays.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;

use flynn_runtime::shim::{Config, PROTOCOL};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, fork};
use rustix::fs::FlockOperation;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, set_child_subreaper, setsid, umask};

use crate::filter::{self, Filter};
use crate::supervisor::Supervisor;

const READY: &[u8] = b"ready";
const END: u8 = 0;

/// Reads a configuration from standard input, forks, and returns in the parent when the child is ready. The child
/// supervises the job until that is removed, and never returns. The calling process has one thread, and has opened
/// nothing: what it inherited besides its standard streams is closed.
///
/// # Errors
/// Why the job could not be made ready, for the log of whoever asked.
pub fn launch() -> Result<(), String> {
    close_inherited().map_err(|error| format!("close what was inherited: {error}"))?;
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input).map_err(|error| format!("read the configuration: {error}"))?;
    let config: Config = serde_json::from_slice(&input).map_err(|error| format!("read the configuration: {error}"))?;
    if config.protocol > PROTOCOL {
        return Err(format!("version {} is newer than this shim, which knows {PROTOCOL}", config.protocol));
    }
    let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("pipe: {error}"))?;
    // SAFETY: this process has one thread, so the child finds every lock free.
    match unsafe { fork() }.map_err(|error| format!("fork: {error}"))? {
        ForkResult::Parent { .. } => {
            drop(theirs);
            // The pipe is not read to its end: the container's first process holds it until it is started.
            let mut answer = Vec::new();
            BufReader::new(File::from(ours))
                .read_until(END, &mut answer)
                .map_err(|error| format!("wait for the shim: {error}"))?;
            match answer.strip_suffix(&[END]).unwrap_or(&answer) {
                READY => Ok(()),
                [] => Err("the shim died before it was ready".to_owned()),
                reason => Err(String::from_utf8_lossy(reason).into_owned()),
            }
        }
        ForkResult::Child => {
            drop(ours);
            let mut starter = File::from(theirs);
            let code = match stay(config) {
                Ok(supervisor) => {
                    // The starter may have been killed; the job is ready all the same.
                    let _ = starter.write_all(&[READY, &[END]].concat());
                    drop(starter);
                    supervisor.run()
                }
                Err(reason) => {
                    let _ = starter.write_all(&[reason.as_bytes(), &[END]].concat());
                    1
                }
            };
            std::process::exit(code)
        }
    }
}

/// Reads the description of a system call filter from standard input, and writes what the kernel makes of it to standard
/// output, as the configurations of jobs with this filter have it.
///
/// # Errors
/// Why there is no such filter.
pub fn compile_filter() -> Result<(), String> {
    let described = serde_json::from_reader(io::stdin().lock()).map_err(|error| format!("read the filter: {error}"))?;
    let Filter { program, flags: 0 } = filter::compile(&described)? else {
        return Err("a filter with flags is compiled where it is loaded".to_owned());
    };
    let text = serde_json::to_vec(&program).map_err(|error| error.to_string())?;
    io::stdout().write_all(&text).map_err(|error| format!("write the filter: {error}"))
}

/// Whoever started this may have left descriptors open that are none of a job's business, and whose other
/// side waits for them to close.
fn close_inherited() -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        inherited.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()).filter(|&end| end > 2));
    }
    for end in inherited {
        // SAFETY: nothing in this process has opened a descriptor yet but the directory just read, which is
        // closed again; what is in the list belongs to nobody here, or to nothing.
        unsafe { nix::libc::close(end) };
    }
    Ok(())
}

fn stay(config: Config) -> Result<Supervisor, String> {
    let step = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    setsid().map_err(|error| format!("setsid: {error}"))?;
    default_actions().map_err(|error| format!("reset signals: {error}"))?;
    umask(rustix::fs::Mode::from_raw_mode(0o077));
    let null = File::options().read(true).write(true).open("/dev/null").map_err(step("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(|error| format!("dup2: {error}"))?;
    rustix::stdio::dup2_stdout(&null).map_err(|error| format!("dup2: {error}"))?;
    rustix::stdio::dup2_stderr(&null).map_err(|error| format!("dup2: {error}"))?;
    // Any value but none switches it on; who adopts orphans is this process.
    set_child_subreaper(Some(Pid::INIT)).map_err(|error| format!("become a subreaper: {error}"))?;
    // Names are for people; a wrong one does no harm.
    let _ = rustix::thread::set_name(c"flynn-shim");
    let lock = lock(&config)?;
    std::env::set_current_dir("/").map_err(step("change to /"))?;
    Supervisor::create(config, lock)
}

/// Whoever started the agent may have had it ignore signals, as `nohup` does. A job would inherit that, and could
/// not even handle them.
fn default_actions() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // A broken pipe is an error here like any other; a job gets its action back when its program is run.
    let fixed = [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGPIPE];
    for signal in Signal::iterator().filter(|signal| !fixed.contains(signal)) {
        // SAFETY: the default action runs no code of this process.
        unsafe { sigaction(signal, &default) }?;
    }
    Ok(())
}

/// The lock tells everybody that this shim lives. It goes with the process and not with a descriptor, so
/// that no child can keep it.
fn lock(config: &Config) -> Result<File, String> {
    let lock = File::options()
        .read(true)
        .write(true)
        .open(&config.lock)
        .map_err(|error| format!("open the lock of the job: {error}"))?;
    rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| "the job has a shim already, or is being removed".to_owned())?;
    let held = lock.metadata().map_err(|error| format!("read the lock: {error}"))?;
    let named = fs::metadata(&config.lock).map_err(|_| "the job was removed".to_owned())?;
    if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
        return Err("the job was removed".to_owned());
    }
    Ok(lock)
}
