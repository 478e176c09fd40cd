use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{Branch, GitError};
use crate::source::Intake;

/// How the git service works. The folders exist before it is opened, or their parents do.
#[derive(Debug, Clone)]
pub struct GitSettings {
    /// The folder of the repositories, one per app. Nobody else writes to it.
    pub repositories: PathBuf,
    /// A folder for the socket, of at most 80 bytes of path; made anew when the service opens.
    pub runtime: PathBuf,
    /// A folder for the hook, on a file system from which programs may be run; made when the service opens.
    pub hooks: PathBuf,
    /// The program that becomes the proc-receive hook and calls [`hook::run`](super::hook::run).
    pub hook: HookCommand,
    /// The git program.
    pub git: PathBuf,
    /// The `PATH` of git and of what it starts.
    pub path: OsString,
    /// As whom git and its hook run; none means as the service. Only a service that runs as root can
    /// choose. What is in `repositories` already becomes that user's.
    pub user: Option<GitUser>,
    /// The branches that are deployed. The first is the one that messages name and that a clone checks out first.
    pub branches: Vec<Branch>,
    /// The most bytes of a push, after decompression of the request.
    pub most_push_bytes: u64,
    /// For how many requests git works at a time: pushes, as long as they are deployed, and fetches. At least one.
    pub most_requests: usize,
    /// For how many of them of one app. At least one.
    pub most_requests_per_app: usize,
    /// How long a request over these waits for a place before it is refused.
    pub queue_time: Duration,
    /// How long a pusher may neither send what is due nor take what is sent before they count as gone.
    pub patience: Duration,
    /// The time between two signs of life to a pusher while a handler is silent. Whole seconds, at least one.
    pub keep_alive: Duration,
    /// How the tree of a pushed commit is taken in.
    pub intake: Intake,
}

impl GitSettings {
    /// The hook beside the socket, stock git of the system, deploy branches `main` and `master`, at most 1 GiB a push, 64 requests at a time with 8
    /// of one app and ten seconds of waiting for a place, five minutes of patience, a sign of life every five seconds,
    /// git as the same user as the service.
    pub fn new(
        repositories: impl Into<PathBuf>,
        runtime: impl Into<PathBuf>,
        hook: HookCommand,
        intake: Intake,
    ) -> Self {
        let branch = |name| Branch::new(name).ok();
        let runtime = runtime.into();
        Self {
            repositories: repositories.into(),
            hooks: runtime.join("hooks"),
            runtime,
            hook,
            git: PathBuf::from("/usr/bin/git"),
            path: OsString::from("/usr/local/bin:/usr/bin:/bin"),
            user: None,
            branches: ["main", "master"].into_iter().filter_map(branch).collect(),
            most_push_bytes: 1 << 30,
            most_requests: 64,
            most_requests_per_app: 8,
            queue_time: Duration::from_secs(10),
            patience: Duration::from_secs(300),
            keep_alive: Duration::from_secs(5),
            intake,
        }
    }

    pub(crate) fn check(&self) -> Result<(), GitError> {
        let invalid = |problem: String| Err(GitError::Invalid { operation: "open git service", problem });
        if self.branches.is_empty() {
            return invalid("name at least one branch to deploy".into());
        }
        if self.keep_alive < Duration::from_secs(1) {
            return invalid("keep_alive is at least a second".into());
        }
        if self.most_requests == 0 || self.most_requests_per_app == 0 {
            return invalid("most_requests and most_requests_per_app are at least one".into());
        }
        // The kernel takes 107 bytes for the path of a socket.
        if self.runtime.as_os_str().len() > 80 {
            return invalid(format!("the path of {} is longer than 80 bytes", self.runtime.display()));
        }
        for (name, path) in [
            ("repositories", &self.repositories),
            ("runtime", &self.runtime),
            ("hooks", &self.hooks),
            ("git", &self.git),
        ] {
            if !path.is_absolute() {
                return invalid(format!("{name} is an absolute path, and {} is not", path.display()));
            }
        }
        Ok(())
    }

    pub(crate) fn main_branch(&self) -> Option<&Branch> {
        self.branches.first()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime.join("git.sock")
    }
}

/// A program with its first arguments.
#[derive(Debug, Clone)]
pub struct HookCommand {
    /// An absolute path that the user of git may run.
    pub program: PathBuf,
    /// Arguments, such as the name of a subcommand.
    pub args: Vec<OsString>,
}

/// A user and group of the system, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GitUser {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}
