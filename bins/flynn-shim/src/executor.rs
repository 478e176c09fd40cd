//! The last step of a process on its way into a container.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, RawFd};

use libcontainer::workload::default::get_executor;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use oci_spec::runtime::Spec;

use crate::filter::Filter;
use crate::init;

/// Runs the program as the default executor does, and besides: undoes what a shim did to its own signals,
/// loads the system call filter where libcontainer does not, and tells the shim why a program could not
/// be run.
#[derive(Clone)]
pub(crate) struct Reporting {
    /// Where the reason goes. It closes on exec, so that silence means success.
    pub(crate) report: RawFd,
    /// Where the first process says how the program ended; none for further processes.
    pub(crate) status: Option<RawFd>,
    /// Which system calls are let through. libcontainer loads no filter for further processes, and a wrong one for the
    /// first.
    pub(crate) filter: Option<Filter>,
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
        // It holds for the first process as well as for the program.
        if let Some(Err(error)) = self.filter.as_ref().map(Filter::load) {
            self.tell(&format!("load the system call filter: {error}"));
            return Err(ExecutorError::Other(error.to_string()));
        }
        if let Some(status) = self.status {
            let terminal = spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false);
            if let Err(error) = init::part(status, terminal) {
                self.tell(&format!("leave a first process behind: {error}"));
                return Err(ExecutorError::Other(error.to_string()));
            }
        }
        if let Err(error) = reset_signals() {
            self.tell(&format!("reset signals: {error}"));
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

/// Undoes what this process did to its own signals, which a program would inherit.
pub(crate) fn reset_signals() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of this process.
    unsafe { sigaction(Signal::SIGPIPE, &default) }?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// The text of an error with all its causes.
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
