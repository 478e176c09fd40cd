//! From the process that was started to the one that stays.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;

use flynn_runtime::shim::{Config, PROTOCOL};
use nix::unistd::{ForkResult, fork};
use rustix::fs::FlockOperation;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, set_child_subreaper, setsid, umask};

use crate::supervisor::Supervisor;

const READY: &[u8] = b"ready";

/// Reads the configuration, forks, and returns in the parent when the child is ready.
pub(crate) fn launch() -> Result<(), String> {
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
            let mut answer = Vec::new();
            File::from(ours).read_to_end(&mut answer).map_err(|error| format!("wait for the shim: {error}"))?;
            match answer.as_slice() {
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
                    let _ = starter.write_all(READY);
                    drop(starter);
                    supervisor.run()
                }
                Err(reason) => {
                    let _ = starter.write_all(reason.as_bytes());
                    1
                }
            };
            std::process::exit(code)
        }
    }
}

fn stay(config: Config) -> Result<Supervisor, String> {
    let step = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    setsid().map_err(|error| format!("setsid: {error}"))?;
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
