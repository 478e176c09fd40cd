use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flynn_core::AppId;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::command::{Git, with_args};
use super::locks::{Lock, Locks};
use super::settled::Settled;
use super::{Branch, CommitId, GitError, checkout};
use crate::source::{Intake, SourceError, SourceTree};

/// The repositories of the apps, one each. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Repositories {
    git: Git,
    locks: Locks,
    settled: Settled,
    /// Held while a repository is made, which takes milliseconds and happens once per app.
    making: std::sync::Arc<Mutex<()>>,
}

/// The commit that is deployed and the branch it was pushed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The branch.
    pub branch: Branch,
    /// The commit.
    pub commit: CommitId,
}

impl Repositories {
    pub(crate) fn new(git: Git, locks: Locks) -> Self {
        Self { git, locks, settled: Settled::default(), making: std::sync::Arc::default() }
    }

    pub(crate) fn path(&self, app: AppId) -> PathBuf {
        self.git.settings().repositories.join(format!("{app}.git"))
    }

    fn unfinished(&self, app: AppId) -> PathBuf {
        self.git.settings().repositories.join(format!("{app}.unfinished"))
    }

    pub(crate) fn lock(&self, app: AppId) -> Option<Lock> {
        self.locks.try_lock(app)
    }

    /// What is in the repository of an app is about to change, or has changed.
    pub(crate) fn touch(&self, app: AppId) {
        self.settled.remove(app);
    }

    /// The apps that there is a repository of, or the beginning of one.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn apps(&self) -> Result<BTreeSet<AppId>, GitError> {
        const LIST: &str = "list repositories";
        let failed = |error| GitError::unavailable(LIST, error);
        let mut entries = tokio::fs::read_dir(&self.git.settings().repositories).await.map_err(failed)?;
        let mut apps = BTreeSet::new();
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name();
            let name = name.to_str().and_then(|name| name.rsplit_once('.'));
            apps.extend(match name {
                Some((app, "git" | "unfinished")) => app.parse::<AppId>().ok(),
                _ => None,
            });
        }
        Ok(apps)
    }

    /// Sets the branches of an app's repository to what the store says is deployed: that branch at that commit and
    /// no other; none if nothing is. It makes the repository if there is something to set.
    ///
    /// # Errors
    /// `NotFound` if the repository has no such commit, after which no branch is left: the next push brings it;
    /// `Busy`, `Unavailable`.
    pub async fn repair(&self, app: AppId, deployed: Option<&Deployed>) -> Result<(), GitError> {
        const REPAIR: &str = "repair repository";
        let _lock = self.lock(app).ok_or(GitError::Busy { operation: REPAIR, app })?;
        if deployed.is_none() && !self.path(app).exists() {
            return Ok(());
        }
        self.ensure(app).await?;
        match deployed {
            Some(deployed) if !self.is_commit(app, &deployed.commit).await? => {
                self.point(app, None).await?;
                Err(GitError::NotFound { operation: REPAIR, what: format!("commit {} in app {app}", deployed.commit) })
            }
            deployed => self.point(app, deployed).await,
        }
    }

    /// Packs an app's repository and prunes the objects that no branch leads to, such as those of refused pushes,
    /// if they are older than `age`. That is longer than any push takes, since objects come before their branch.
    /// Nothing is done to a repository that was left with nothing to prune and was not pushed to since. An app without
    /// one is no error.
    ///
    /// # Errors
    /// `Busy`, `Unavailable`.
    pub async fn collect(&self, app: AppId, age: Duration) -> Result<(), GitError> {
        const COLLECT: &str = "collect repository";
        let _lock = self.lock(app).ok_or(GitError::Busy { operation: COLLECT, app })?;
        let path = self.path(app);
        if self.settled.contains(app) || !path.exists() {
            return Ok(());
        }
        // Before git looks: a push from here on is not forgotten.
        self.settled.insert(app);
        let prune = format!("--prune={}.seconds.ago", age.as_secs());
        let command = with_args(self.git.command(&path), ["gc", "--quiet", &prune]);
        let collected = self.git.run(COLLECT, command).await;
        if collected.is_err() || !is_packed(&path).map_err(|error| GitError::unavailable(COLLECT, error))? {
            self.settled.remove(app);
        }
        collected.map(drop)
    }

    /// Removes an app's repository. One that is not there is no error.
    ///
    /// # Errors
    /// `Busy`, `Unavailable`.
    pub async fn remove(&self, app: AppId) -> Result<(), GitError> {
        const REMOVE: &str = "remove repository";
        let _lock = self.lock(app).ok_or(GitError::Busy { operation: REMOVE, app })?;
        let _making = self.making.lock().await;
        self.settled.remove(app);
        for path in [self.path(app), self.unfinished(app)] {
            match tokio::fs::remove_dir_all(path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(GitError::unavailable(REMOVE, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the tree of a commit of an app: the bytes that were committed, whatever `.gitattributes` says.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a tree with submodules, pointers of git-lfs or symlinks out of it; `TooLarge`;
    /// `Unavailable`.
    pub async fn tree(&self, app: AppId, commit: &CommitId, intake: &Intake) -> Result<SourceTree, SourceError> {
        const READ: &str = "read commit";
        let (git, path, commit, intake) = (self.git.clone(), self.path(app), commit.clone(), intake.clone());
        if !path.exists() {
            return Err(SourceError::NotFound { operation: READ, what: format!("repository of app {app}") });
        }
        let reading = spawn_blocking(move || checkout::read(&git, &path, &commit, &intake));
        reading.await.map_err(|error| SourceError::unavailable(READ, error))?
    }

    /// Makes the repository of an app if there is none.
    pub(crate) async fn ensure(&self, app: AppId) -> Result<PathBuf, GitError> {
        const CREATE: &str = "create repository";
        let path = self.path(app);
        if path.exists() {
            return Ok(path);
        }
        let _making = self.making.lock().await;
        if path.exists() {
            return Ok(path);
        }
        let failed = |error| GitError::unavailable(CREATE, error);
        let settings = self.git.settings();
        // Renamed when it is complete, so that a repository that is there can be used.
        let unfinished = self.unfinished(app);
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).map_err(failed)?;
        }
        std::fs::create_dir(&unfinished).map_err(failed)?;
        std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
        if let Some(user) = settings.user {
            chown(&unfinished, Some(user.uid), Some(user.gid)).map_err(failed)?;
        }
        let branch = settings.main_branch().map_or_else(String::new, |branch| format!("--initial-branch={branch}"));
        let args = ["init", "--quiet", "--bare", "--template=", "--object-format=sha1", &branch];
        self.git.run(CREATE, with_args(self.git.command(&unfinished), args)).await?;
        std::fs::rename(&unfinished, &path).map_err(failed)?;
        Ok(path)
    }

    pub(crate) async fn is_commit(&self, app: AppId, id: &CommitId) -> Result<bool, GitError> {
        const LOOK: &str = "look up commit";
        let mut command = with_args(self.git.command(&self.path(app)), ["cat-file", "--batch-check=%(objecttype)"]);
        command.stdin(std::process::Stdio::piped());
        let answer = self.git.run_with(LOOK, command, format!("{id}\n").into_bytes()).await?;
        Ok(answer == b"commit\n")
    }

    /// The commit that a branch of an app is at, if there is such a branch.
    pub(crate) async fn tip(&self, app: AppId, branch: &Branch) -> Result<Option<CommitId>, GitError> {
        const LOOK: &str = "look up branch";
        let listing = ["for-each-ref", "--format=%(objectname)", &branch.full()];
        let found = self.git.run(LOOK, with_args(self.git.command(&self.path(app)), listing)).await?;
        let found = String::from_utf8_lossy(&found);
        let commit = found.lines().next().map(str::parse).transpose();
        commit.map_err(|error| GitError::unavailable(LOOK, io::Error::other(error)))
    }

    /// Leaves one branch, or none, in one step. The caller holds the lock.
    pub(crate) async fn point(&self, app: AppId, deployed: Option<&Deployed>) -> Result<(), GitError> {
        const POINT: &str = "set deployed branch";
        let path = self.path(app);
        let listing = with_args(self.git.command(&path), ["for-each-ref", "--format=%(refname)"]);
        let refs = self.git.run(POINT, listing).await?;
        let wanted = deployed.map(|deployed| deployed.branch.full());
        let mut script = String::from("start\n");
        for name in String::from_utf8_lossy(&refs).lines().filter(|name| Some(*name) != wanted.as_deref()) {
            script += &format!("delete {name}\n");
        }
        if let Some(deployed) = deployed {
            script += &format!("update {} {}\n", deployed.branch.full(), deployed.commit);
        }
        script += "prepare\ncommit\n";
        let update = with_args(self.git.command(&path), ["update-ref", "--no-deref", "--stdin"]);
        self.git.run_with(POINT, update, script.into_bytes()).await?;
        if let Some(name) = wanted.or_else(|| self.git.settings().main_branch().map(Branch::full)) {
            let head = with_args(self.git.command(&path), ["symbolic-ref", "HEAD", &name]);
            self.git.run(POINT, head).await?;
        }
        Ok(())
    }
}

/// Whether there is no object outside of packs, such as one that was too young to be pruned.
fn is_packed(repository: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(repository.join("objects"))? {
        if !["info", "pack"].iter().any(|name| entry.as_ref().is_ok_and(|entry| entry.file_name() == *name)) {
            return Ok(false);
        }
    }
    Ok(true)
}
