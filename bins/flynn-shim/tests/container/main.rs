//! The whole runtime suite on containers, and what else containers do.
#![allow(clippy::unwrap_used, reason = "a failed expectation ends the test")]
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are in real time")]

mod parts;
mod signals;

use std::path::Path;

use async_trait::async_trait;
use flynn_core::JobId;
use flynn_core::noun::Terminal;
use flynn_core::port::{ContainerSpec, Mount, MountSource, Process, Secret};
use flynn_core::value::Resources;
use flynn_runtime::cgroup::CgroupParent;
use flynn_runtime::conformance::{RuntimeHarness, busybox_root, leak};
use flynn_runtime::shim::{Files, LogLimits};
use flynn_runtime::{ContainerOptions, ContainerRuntime, ShimProgram};
use tempfile::TempDir;

struct Containers {
    root: TempDir,
    directory: TempDir,
    cgroups: CgroupParent,
}

impl Containers {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        busybox_root(root.path());
        let directory = TempDir::new().unwrap();
        let name: String = directory.path().file_name().unwrap().to_str().unwrap().replace('.', "");
        Self { root, directory, cgroups: format!("/flynn-test-{name}").parse().unwrap() }
    }
}

impl Drop for Containers {
    /// Also after a failed test nothing stays.
    fn drop(&mut self) {
        leak::sweep(&self.watched());
    }
}

#[async_trait]
impl RuntimeHarness for Containers {
    type Runtime = ContainerRuntime;

    async fn open(&self) -> ContainerRuntime {
        let program = ShimProgram::load(Path::new(env!("CARGO_BIN_EXE_flynn-shim"))).unwrap();
        let options = ContainerOptions {
            directory: self.directory.path().to_owned(),
            owner: "test".to_owned(),
            cgroups: self.cgroups.clone(),
            log: LogLimits::default(),
        };
        ContainerRuntime::open(options, program).unwrap()
    }

    fn spec(&self, command: &[&str]) -> ContainerSpec {
        let source = MountSource::Bind(self.root.path().to_owned());
        ContainerSpec {
            app: flynn_core::AppId::NIL,
            hostname: "test".to_owned(),
            root: vec![Mount { source, target: "/".into(), read_only: true }],
            mounts: vec![],
            process: Process {
                command: command.iter().map(|&part| part.to_owned()).collect(),
                env: [("PATH".to_owned(), Secret::new("/bin"))].into(),
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
        leak::Watched { directory: self.directory.path().to_owned(), cgroups: Some(self.cgroups.clone()) }
    }
}

flynn_runtime::runtime_conformance!(Containers::new());
flynn_runtime::isolation_conformance!(Containers::new());
flynn_runtime::limits_conformance!(Containers::new());
flynn_runtime::network_conformance!(crate::parts::Networked::new());
flynn_runtime::images_conformance!(crate::parts::Imaged::new());
