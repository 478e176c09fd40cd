//! Git processes in an environment that holds nothing but what is written here.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::{GitError, GitSettings};

/// Starts git. Cloning shares the settings.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    settings: Arc<GitSettings>,
}

impl Git {
    pub(crate) fn new(settings: Arc<GitSettings>) -> Self {
        Self { settings }
    }

    pub(crate) fn settings(&self) -> &GitSettings {
        &self.settings
    }

    /// A git command on a repository: a leader of its own process group, with no configuration but ours and the
    /// repository's, which no user can write.
    pub(crate) fn command(&self, repository: &Path) -> Command {
        let GitSettings { git, path, user, .. } = &*self.settings;
        let mut command = Command::new(git);
        command
            .current_dir(repository)
            .env_clear()
            .envs([
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_CONFIG_SYSTEM", "/dev/null"),
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("GIT_ATTR_NOSYSTEM", "1"),
                ("GIT_TERMINAL_PROMPT", "0"),
                // The empty list: git here never fetches from anywhere.
                ("GIT_ALLOW_PROTOCOL", ""),
                ("GIT_NO_REPLACE_OBJECTS", "1"),
                ("GIT_OPTIONAL_LOCKS", "0"),
                ("LC_ALL", "C"),
                ("HOME", "/nonexistent"),
            ])
            .env("PATH", path)
            .env("GIT_DIR", ".")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let config = self.config();
        command.env("GIT_CONFIG_COUNT", config.len().to_string());
        for (index, (key, value)) in config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key).env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    fn config(&self) -> Vec<(&'static str, String)> {
        let settings = &*self.settings;
        vec![
            ("core.hooksPath", settings.hooks.to_string_lossy().into_owned()),
            ("core.fsmonitor", "false".into()),
            ("core.logAllRefUpdates", "false".into()),
            ("protocol.allow", "never".into()),
            ("gc.auto", "0".into()),
            // Else what is not reachable is kept in a pack of its own.
            ("gc.cruftPacks", "false".into()),
            ("maintenance.auto", "false".into()),
            ("receive.autogc", "false".into()),
            ("receive.advertisePushOptions", "true".into()),
            ("receive.denyDeleteCurrent", "refuse".into()),
            ("receive.fsckObjects", "true".into()),
            // Harmless faults that old versions of git and importers have left in many histories.
            ("receive.fsck.badTimezone", "ignore".into()),
            ("receive.fsck.missingSpaceBeforeDate", "ignore".into()),
            ("receive.fsck.zeroPaddedFilemode", "ignore".into()),
            ("receive.keepAlive", settings.keep_alive.as_secs().to_string()),
            ("receive.maxInputSize", settings.most_push_bytes.to_string()),
            // All refs: each is ours to decide.
            ("receive.procReceiveRefs", "refs".into()),
            ("receive.shallowUpdate", "true".into()),
            ("transfer.advertiseSID", "false".into()),
            ("uploadpack.allowFilter", "true".into()),
            ("uploadpack.keepAlive", settings.keep_alive.as_secs().to_string()),
        ]
    }

    /// Runs a command to its end and gives what it printed.
    pub(crate) async fn run(&self, operation: &'static str, command: Command) -> Result<Vec<u8>, GitError> {
        self.run_with(operation, command, Vec::new()).await
    }

    /// The same with something to read.
    pub(crate) async fn run_with(
        &self,
        operation: &'static str,
        mut command: Command,
        input: Vec<u8>,
    ) -> Result<Vec<u8>, GitError> {
        use tokio::io::AsyncWriteExt;

        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let failed = |error: std::io::Error| GitError::unavailable(operation, error);
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // The inputs here are a few lines, far less than a pipe holds, so this never waits for git.
            stdin.write_all(&input).await.map_err(failed)?;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(GitError::unavailable(operation, format!("git: {}: {}", output.status, errors.trim())))
    }
}

/// Adds arguments; a shorthand for a line.
pub(crate) fn with_args<S: AsRef<OsStr>>(mut command: Command, args: impl IntoIterator<Item = S>) -> Command {
    command.args(args);
    command
}
