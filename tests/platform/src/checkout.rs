use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A repository of an app's developer, with an app as its remote `flynn`.
#[derive(Debug)]
pub struct Checkout {
    folder: PathBuf,
}

impl Checkout {
    /// An empty repository in `folder`, whose remote is pushed to with this token.
    pub fn new(folder: &Path, api: SocketAddr, app: &str, token: &str) -> Self {
        let folder = folder.join(format!("checkout-{app}"));
        fs::create_dir(&folder).unwrap();
        let checkout = Self { folder };
        checkout.git(&["init", "--quiet", "--initial-branch=main"]);
        let url = format!("http://x:{token}@{api}/git/{app}.git");
        checkout.git(&["remote", "add", "flynn", &url]);
        checkout
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything, also if nothing changed.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Pushes what is committed. Answers whether that succeeded, and what git said.
    pub fn push(&self) -> (bool, String) {
        let output = self.command(&["push", "flynn", "main"]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The command of a push, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=test", "-c", "user.email=test@localhost"]).args(arguments);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &self.folder);
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1").current_dir(&self.folder);
        command
    }

    fn git(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}
