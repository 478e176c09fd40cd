//! The common part of the runtime suite on plain processes.
#![allow(clippy::unwrap_used, reason = "a failed expectation ends the test")]

use std::path::Path;

use async_trait::async_trait;
use flynn_core::JobId;
use flynn_core::noun::Terminal;
use flynn_core::port::{ContainerSpec, Process, Secret};
use flynn_core::value::Resources;
use flynn_runtime::conformance::{RuntimeHarness, busybox_root, leak};
use flynn_runtime::shim::{Files, LogLimits};
use flynn_runtime::{ProcessRuntime, ShimProgram};
use tempfile::TempDir;

struct Processes {
    programs: TempDir,
    directory: TempDir,
}

impl Processes {
    fn new() -> Self {
        let programs = TempDir::new().unwrap();
        busybox_root(programs.path());
        Self { programs, directory: TempDir::new().unwrap() }
    }
}

impl Drop for Processes {
    /// Also after a failed test nothing stays.
    fn drop(&mut self) {
        leak::sweep(&self.watched());
    }
}

#[async_trait]
impl RuntimeHarness for Processes {
    type Runtime = ProcessRuntime;

    async fn open(&self) -> ProcessRuntime {
        let program = ShimProgram::load(Path::new(env!("CARGO_BIN_EXE_flynn-shim"))).unwrap();
        ProcessRuntime::open(self.directory.path(), "test", program, LogLimits::default()).unwrap()
    }

    fn spec(&self, command: &[&str]) -> ContainerSpec {
        let path = self.programs.path().join("bin").to_str().unwrap().to_owned();
        ContainerSpec {
            app: flynn_core::AppId::NIL,
            hostname: "unused".to_owned(),
            root: vec![],
            mounts: vec![],
            process: Process {
                command: command.iter().map(|&part| part.to_owned()).collect(),
                env: [("PATH".to_owned(), Secret::new(path))].into(),
                directory: "/".into(),
                user: (1000, 1000),
                terminal: Terminal::None,
                interactive: false,
            },
            resources: Resources::ZERO,
            network: None,
        }
    }

    fn files(&self, job: JobId) -> Files {
        Files::new(self.directory.path().join("jobs").join(job.to_string()))
    }

    fn watched(&self) -> leak::Watched {
        leak::Watched { directory: self.directory.path().to_owned(), cgroups: None }
    }
}

flynn_runtime::runtime_conformance!(Processes::new());
