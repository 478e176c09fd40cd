use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// A person with a repository.
pub(crate) struct Client {
    pub(crate) folder: PathBuf,
}

/// What a git command of a client came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn expect_ok(self) -> Self {
        assert!(self.ok, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_failure(self, text: &str) -> Self {
        assert!(!self.ok, "{self:#?}");
        self.says(text)
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in {self:#?}");
        self
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Client {
    pub(crate) async fn new(folder: &Path, url: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let folder = folder.join(format!("client-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&folder).unwrap();
        let client = Self { folder };
        client.git(&["init", "--quiet", "--initial-branch=main"]).await.expect_ok();
        client.git(&["remote", "add", "flynn", url]).await.expect_ok();
        client
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(args)
            .current_dir(&self.folder)
            .env_clear()
            .envs([
                ("PATH", "/usr/local/bin:/usr/bin:/bin"),
                ("HOME", "/nonexistent"),
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_TERMINAL_PROMPT", "0"),
                ("GIT_AUTHOR_NAME", "A"),
                ("GIT_AUTHOR_EMAIL", "a@example.org"),
                ("GIT_COMMITTER_NAME", "A"),
                ("GIT_COMMITTER_EMAIL", "a@example.org"),
                ("LC_ALL", "C"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Runs git to its end.
    pub(crate) async fn git(&self, args: &[&str]) -> Outcome {
        let child = self.command(args).spawn().unwrap();
        timeout(Duration::from_secs(40), child.wait_with_output()).await.expect("git ends").unwrap().into()
    }

    pub(crate) async fn push(&self, refspec: &str) -> Outcome {
        self.git(&["push", "flynn", refspec]).await
    }

    /// Starts a push and gives the process and its messages.
    pub(crate) fn start_push(&self, refspec: &str) -> (Child, Messages) {
        let mut child = self.command(&["push", "flynn", refspec]).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        (child, Messages { reader: BufReader::new(stderr), seen: String::new() })
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything and gives the id of the commit.
    pub(crate) async fn commit(&self) -> String {
        self.git(&["add", "--all"]).await.expect_ok();
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]).await.expect_ok();
        self.head().await
    }

    /// Commits a script for the handler.
    pub(crate) async fn commit_script(&self, script: &str) -> String {
        self.write("deploy", script);
        self.commit().await
    }

    pub(crate) async fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).await.expect_ok().stdout.trim().to_owned()
    }

    /// The refs of the service, as `ID NAME` lines.
    pub(crate) async fn remote_refs(&self) -> Vec<String> {
        let listed = self.git(&["ls-remote", "--refs", "flynn"]).await.expect_ok();
        listed.stdout.lines().map(|line| line.replace('\t', " ")).collect()
    }
}

/// What a running push prints.
pub(crate) struct Messages {
    reader: BufReader<ChildStderr>,
    seen: String,
}

impl Messages {
    /// Reads until a line contains `text`.
    pub(crate) async fn wait_for(&mut self, text: &str) {
        let reading = async {
            loop {
                let mut line = String::new();
                let count = self.reader.read_line(&mut line).await.unwrap();
                assert!(count > 0, "git ended without `{text}`: {}", self.seen);
                self.seen += &line;
                if line.contains(text) {
                    break;
                }
            }
        };
        timeout(Duration::from_secs(20), reading).await.unwrap_or_else(|_| panic!("no `{text}`"));
    }

    /// Reads to the end, and gives all of it with the outcome of the push.
    pub(crate) async fn finish(mut self, mut child: Child) -> Outcome {
        let reading = async {
            self.reader.read_to_string(&mut self.seen).await.unwrap();
            child.wait().await.unwrap()
        };
        let status = timeout(Duration::from_secs(20), reading).await.expect("git ends");
        Outcome { ok: status.success(), stdout: String::new(), stderr: self.seen }
    }
}
