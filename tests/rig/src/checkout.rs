use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::platform::Ran;

/// A git repository with an app in it, as its developer has it.
#[derive(Debug)]
pub struct Checkout {
    folder: TempDir,
    home: PathBuf,
    path: std::ffi::OsString,
}

impl Checkout {
    pub(crate) fn new(home: PathBuf, path: std::ffi::OsString) -> Self {
        let checkout = Self { folder: tempfile::tempdir().unwrap(), home, path };
        checkout.git(&["init", "--quiet", "--initial-branch=main"]).expect("git init");
        checkout
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Copies what is below `source`.
    pub fn copy(&self, source: &Path) {
        let copied = Command::new("cp").arg("--recursive").arg(source.join(".")).arg(self.folder()).status().unwrap();
        assert!(copied.success(), "cannot copy {}", source.display());
    }

    /// Writes a file; folders are made.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Replaces text in a file, which must be there.
    pub fn replace(&self, path: &str, old: &str, new: &str) {
        let file = self.folder().join(path);
        let content = fs::read_to_string(&file).unwrap();
        assert!(content.contains(old), "{path} has no {old:?}");
        fs::write(file, content.replace(old, new)).unwrap();
    }

    /// Commits everything, also if nothing changed.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]).expect("git add");
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]).expect("git commit");
    }

    /// Pushes to the app of this checkout.
    pub fn push(&self) -> Ran {
        self.git(&["push", "flynn", "HEAD:refs/heads/main"])
    }

    /// Runs git.
    pub fn git(&self, args: &[&str]) -> Ran {
        Ran::of(self.command("git").args(args))
    }

    /// A program with the home and path of the developer, started in the checkout.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", &self.path)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Dev"), ("GIT_COMMITTER_NAME", "Dev")])
            .envs([("GIT_AUTHOR_EMAIL", "dev@example.com"), ("GIT_COMMITTER_EMAIL", "dev@example.com")]);
        command
    }
}
