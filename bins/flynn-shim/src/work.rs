//! What is supervised: a plain process or a container.

use flynn_core::noun::Exit;
use flynn_runtime::cgroup::{CgroupPath, Cgroups};
use flynn_runtime::shim::{Config, ExecProcess, Files, PlainProcess, WireExit};
use nix::unistd::Pid;

use crate::container::{Container, Entering};
use crate::plain::{self, Ends};
use crate::streams::Ours;

pub(crate) enum Work {
    Plain { process: PlainProcess, ends: Option<Ends> },
    Container { container: Box<Container>, limits: Option<(Cgroups, CgroupPath)> },
}

/// A further process: there already, or on its way.
pub(crate) enum Further {
    Running(Pid, Ours),
    Entering(Entering),
}

impl Work {
    /// Gets everything ready, and says which process is the first if there is one already.
    pub(crate) fn create(config: Config, files: &Files) -> Result<(Self, Option<Pid>, Ours), String> {
        let Config { job, terminal, interactive, user, work, .. } = config;
        match work {
            flynn_runtime::shim::Work::Plain(process) => {
                let (ends, ours) =
                    plain::ends(terminal, interactive, user).map_err(|error| format!("make streams: {error}"))?;
                Ok((Self::Plain { process, ends: Some(ends) }, None, ours))
            }
            flynn_runtime::shim::Work::Container(work) => {
                let path = work.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
                let limits = path.and_then(|path| CgroupPath::of_job(&path, job).ok());
                let limits = limits.and_then(|path| Some((Cgroups::detect().ok()?, path)));
                let (container, ours) = Container::create(files, job, work, terminal, interactive, user)?;
                let init = container.init();
                Ok((Self::Container { container: Box::new(container), limits }, Some(init), ours))
            }
        }
    }

    /// Runs the program of the first process.
    pub(crate) fn start(&mut self) -> Result<Option<Pid>, String> {
        match self {
            Self::Plain { process, ends } => {
                let ends = ends.take().ok_or("it was started before")?;
                plain::spawn(process, ends).map(Some).map_err(|error| reason(process, &error))
            }
            Self::Container { container, .. } => container.start().map(|()| None),
        }
    }

    /// Runs a further process.
    pub(crate) fn exec(
        &self,
        process: &ExecProcess,
        terminal: bool,
        interactive: bool,
        user: (u32, u32),
    ) -> Result<Further, String> {
        match (self, process) {
            (Self::Plain { .. }, ExecProcess::Plain(process)) => {
                let (ends, ours) =
                    plain::ends(terminal, interactive, user).map_err(|error| format!("make streams: {error}"))?;
                let pid = plain::spawn(process, ends).map_err(|error| reason(process, &error))?;
                Ok(Further::Running(pid, ours))
            }
            (Self::Container { container, .. }, ExecProcess::Container(process)) => {
                Ok(Further::Entering(container.enter(process, terminal, interactive, user)?))
            }
            _ => Err("the process is not described in the way that the job is run".to_owned()),
        }
    }

    /// Whether the end of the first process ends the others by itself.
    pub(crate) fn ends_as_one(&self) -> bool {
        matches!(self, Self::Container { .. })
    }

    /// What the end of the first process means, seen with what that said itself and the kernel about memory.
    pub(crate) fn judge(&self, exit: WireExit) -> WireExit {
        let Self::Container { container, limits } = self else {
            return exit;
        };
        let exit = container.verdict().unwrap_or(exit);
        let Some((cgroups, path)) = limits else {
            return exit;
        };
        // A shell that waits for the killed process passes its death on as 137.
        let killed = matches!(exit, WireExit::Signal(9) | WireExit::Code(137));
        if killed && cgroups.oom_kills(path).is_ok_and(|kills| kills > 0) { WireExit::OutOfMemory } else { exit }
    }
}

fn reason(process: &PlainProcess, error: &std::io::Error) -> String {
    let program = process.command.first().map_or("", String::as_str);
    // The folder to run it in can be what is missing.
    if error.kind() == std::io::ErrorKind::NotFound && std::path::Path::new(&process.directory).is_dir() {
        return format!("{}`{program}`, by its path or in PATH", Exit::NO_PROGRAM);
    }
    format!("{program}: {error}")
}
