//! A repository and a place for the program's data.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use flynn_rig::{bases, left_by, program};
use flynn_runtime::machine::MachineOptions;
use tempfile::TempDir;

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) struct Bench {
    place: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { place: tempfile::Builder::new().prefix("flynn-ci-").tempdir().unwrap() };
        std::fs::create_dir(bench.checkout()).unwrap();
        bench.git(&["init", "--quiet", "--initial-branch=main"]);
        bench
    }

    fn checkout(&self) -> PathBuf {
        self.place.path().join("checkout")
    }

    fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    fn git(&self, args: &[&str]) {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.checkout()).args(args).env("HOME", self.place.path());
        git.envs([("GIT_AUTHOR_NAME", "Dev"), ("GIT_COMMITTER_NAME", "Dev")]);
        git.envs([("GIT_AUTHOR_EMAIL", "dev@example.com"), ("GIT_COMMITTER_EMAIL", "dev@example.com")]);
        assert!(git.status().unwrap().success(), "{git:?}");
    }

    pub(crate) fn commit(&self, files: &[(&str, &str)]) {
        for (name, content) in files {
            std::fs::write(self.checkout().join(name), content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "Change it"]);
    }

    fn command(&self, tests: &[&str]) -> Command {
        let [run, build] = bases();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ci"));
        command.arg("--data").arg(self.data()).arg("--shim").arg(program("flynn-shim"));
        command.arg("--run-base").arg(run).arg("--build-base").arg(build);
        command.arg(self.checkout()).arg("--").args(tests).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn ci(&self, tests: &[&str]) -> Ran {
        let output = self.command(tests).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts it, with its output to be read.
    pub(crate) fn start(&self, tests: &[&str]) -> Child {
        self.command(tests).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// What is left on this computer of the program's containers.
    pub(crate) fn left(&self) -> Vec<String> {
        let name = MachineOptions::new(self.data().join("machine"), "").name;
        left_by(&name, self.place.path())
    }

    pub(crate) fn leaves_nothing(&self) {
        assert_eq!(self.left(), [""; 0]);
    }
}

/// A failed test leaves nothing either.
impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:#?}", self.ci(&["true"]));
        }
    }
}
