//! The last step of a process on its way into a container.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, RawFd};

use libcontainer::workload::default::get_executor;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use oci_spec::runtime::{LinuxSeccomp, Spec};

use crate::init;

/// Runs the program as the default executor does, and besides: undoes what a shim did to its own signals,
/// loads the system call filter where libcontainer forgets it, and tells the shim why a program could not
/// be run.
#[derive(Clone)]
pub(crate) struct Reporting {
    /// Where the reason goes. It closes on exec, so that silence means success.
    pub(crate) report: RawFd,
    /// Where the first process says how the program ended; none for further processes.
    pub(crate) status: Option<RawFd>,
    /// libcontainer 0.7.0 drops the filter of further processes, though not that of the first.
    pub(crate) seccomp: Option<LinuxSeccomp>,
}

impl Reporting {
    fn tell(&self, reason: &str) {
        // SAFETY: the descriptor is open in the shim, which this process is a fork of, and nothing that
        // runs in between closes it: it is only marked to be closed on exec.
        let report = unsafe { BorrowedFd::borrow_raw(self.report) };
        // A reader that is gone does not want to know.
        let _ = rustix::io::write(report, reason.as_bytes());
    }
}

impl Executor for Reporting {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        if let Some(status) = self.status {
            let terminal = spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false);
            if let Err(error) = init::part(status, terminal) {
                self.tell(&format!("leave a first process behind: {error}"));
                return Err(ExecutorError::Other(error.to_string()));
            }
        }
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default action runs no code of this process.
        let reset = unsafe { sigaction(Signal::SIGPIPE, &default) }
            .and_then(|_| sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None));
        if let Err(error) = reset {
            self.tell(&format!("reset signals: {error}"));
            return Err(ExecutorError::Other(error.to_string()));
        }
        if let Some(filter) = &self.seccomp
            && let Err(error) = libcontainer::seccomp::initialize_seccomp(filter)
        {
            self.tell(&format!("load the system call filter: {error}"));
            return Err(ExecutorError::Other(error.to_string()));
        }
        let result = get_executor().exec(spec);
        if let Err(error) = &result {
            self.tell(&chain(error));
        }
        result
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        get_executor().validate(spec)
    }

    fn setup_envs(&self, envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        get_executor().setup_envs(envs)
    }
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
