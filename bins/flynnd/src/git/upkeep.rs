//! Keeps the repositories small, and to those of apps that are there.

use std::collections::BTreeSet;
use std::time::Duration;

use flynn_build::git::{GitError, Repositories};
use flynn_core::noun::App;
use flynn_core::port::Store;
use flynn_core::{AppId, Scope, View};
use tokio::time::{Instant, sleep, sleep_until};

use crate::closing::Closing;

/// When repositories are tended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upkeep {
    /// The wait before the first collection, so that a start is not slowed down by it.
    pub(crate) first: Duration,
    /// The time between two collections.
    pub(crate) often: Duration,
    /// How old an object that no branch leads to has to be to be pruned. Objects come before their branch: it is longer
    /// than a push takes to come to its deploy. During that, nothing is pruned.
    pub(crate) age: Duration,
    /// The least time between two looks for repositories whose apps are gone.
    pub(crate) pause: Duration,
}

impl Default for Upkeep {
    fn default() -> Self {
        let hour = Duration::from_secs(3_600);
        Self { first: Duration::from_secs(300), often: hour, age: hour, pause: Duration::from_secs(10) }
    }
}

impl Upkeep {
    /// Collects each repository now and then, and removes those of apps that are not in the store any more, until the
    /// end of service. `view` says when to look.
    pub(crate) async fn run(self, store: &impl Store, view: &View, repositories: &Repositories, closing: Closing) {
        let mut changes = view.changes();
        let mut next = Instant::now() + self.first;
        let tend = async {
            loop {
                changes.mark_unchanged();
                let is_done = remove_orphans(store, repositories).await.unwrap_or_else(|error| {
                    tracing::warn!("repositories of apps that are gone were not removed: {error:#}");
                    false
                });
                if Instant::now() >= next {
                    next = Instant::now() + self.often;
                    collect(repositories, self.age).await;
                }
                sleep(self.pause).await;
                let changed = async {
                    // A view that has ended changes no more.
                    if is_done && changes.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    () = changed => {}
                    () = sleep_until(next) => {}
                }
            }
        };
        tokio::select! {
            () = tend => {}
            () = closing.begun() => {}
        }
    }
}

/// Collects them one after the other.
async fn collect(repositories: &Repositories, age: Duration) {
    let apps = match repositories.apps().await {
        Ok(apps) => apps,
        Err(error) => {
            tracing::warn!("repositories were not collected: {:#}", anyhow::Error::from(error));
            return;
        }
    };
    for app in apps {
        match repositories.collect(app, age).await {
            // Its turn comes again.
            Ok(()) | Err(GitError::Busy { .. }) => {}
            Err(error) => tracing::warn!(%app, "the repository was not collected: {:#}", anyhow::Error::from(error)),
        }
    }
}

/// Removes the repositories of apps that are not in the store. Whether all of them are gone.
async fn remove_orphans(store: &impl Store, repositories: &Repositories) -> anyhow::Result<bool> {
    // In this order: a repository is made for an app that was in the store before.
    let there = repositories.apps().await?;
    if there.is_empty() {
        return Ok(true);
    }
    let objects = store.snapshot(Scope::All).await?.objects;
    let known: BTreeSet<AppId> = objects.iter::<App>().map(|app| app.id).collect();
    let mut is_done = true;
    for app in there.difference(&known) {
        match repositories.remove(*app).await {
            Ok(()) => tracing::info!(%app, "the repository of an app that is gone was removed"),
            Err(GitError::Busy { .. }) => is_done = false,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(is_done)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::Arc;

    use async_trait::async_trait;
    use flynn_build::git::{
        Access, AccessDenied, AppRef, Credentials, GitAuthority, GitDriver, GitService, GitSettings, HookCommand, Push,
        PushContext, PushHandler, PushOutput, Rejection, Released,
    };
    use flynn_build::source::Intake;
    use flynn_core::noun::Team;
    use flynn_core::{Batch, Change, Clock, Ids, MemoryStore, Principal, SystemClock, TeamId};

    use super::*;

    /// Nobody pushes here.
    struct Nobody;

    #[async_trait]
    impl GitAuthority for Nobody {
        async fn authorize(&self, _: Option<&Credentials>, _: &AppRef, _: Access) -> Result<PushContext, AccessDenied> {
            Err(AccessDenied::UnknownApp)
        }
    }

    #[async_trait]
    impl PushHandler for Nobody {
        async fn receive(&self, _: Push, _: &dyn PushOutput) -> Result<Released, Rejection> {
            Err(Rejection::new("no"))
        }
    }

    fn open(folder: &Path) -> (GitService, GitDriver) {
        let hook = HookCommand { program: PathBuf::from("/bin/false"), args: Vec::new() };
        let (repositories, run) = (folder.join("repositories"), folder.join("run"));
        let settings = GitSettings::new(repositories, run, hook, Intake::new(folder.join("spool")));
        flynn_build::git::open(settings, Arc::new(Nobody), Arc::new(Nobody)).unwrap()
    }

    /// A repository of `app` with an object that no branch leads to, which is an hour old. Its file.
    fn refused_object(folder: &Path, app: AppId) -> PathBuf {
        let repository = folder.join(format!("repositories/{app}.git"));
        let shell = |script: &str| {
            let output = Command::new("sh").args(["-ec", script, "sh"]).arg(&repository).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let id = shell("git init --quiet --bare \"$1\"; echo refused | git --git-dir=\"$1\" hash-object -w --stdin");
        let file = repository.join("objects").join(&id[..2]).join(&id[2..]);
        assert!(Command::new("touch").arg("--date=1 hour ago").arg(&file).status().unwrap().success());
        file
    }

    async fn until(what: &str, mut condition: impl FnMut() -> bool) {
        for _ in 0..1_000 {
            if condition() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("in vain for 20 seconds: {what}");
    }

    #[tokio::test]
    async fn refused_objects_are_pruned_and_repositories_go_with_their_apps() {
        let folder = tempfile::tempdir().unwrap();
        let (service, _driver) = open(folder.path());
        let store = Arc::new(MemoryStore::default());
        let (mut ids, now) = (Ids::from_entropy(), SystemClock.now());
        let (team, living, going, gone): (TeamId, AppId, AppId, AppId) =
            (ids.next(now), ids.next(now), ids.next(now), ids.next(now));
        let app = |name: &str| App::new(name.parse().unwrap());
        let made = Batch::new(Principal::System)
            .with(Change::create(team, TeamId::SYSTEM, Team { name: "red".parse().unwrap() }))
            .with(Change::create(living, team, app("living")))
            .with(Change::create(going, team, app("going")));
        store.commit(made).await.unwrap();
        let (view, follower) = View::open(store.clone(), Scope::All).await.unwrap();
        let follower = tokio::spawn(async move { drop(follower.run().await) });

        let refused = refused_object(folder.path(), living);
        refused_object(folder.path(), gone);
        let at = |app: AppId| folder.path().join(format!("repositories/{app}.git"));
        std::fs::create_dir(at(going)).unwrap();
        std::fs::create_dir(folder.path().join(format!("repositories/{gone}.unfinished"))).unwrap();
        let (first, pause) = (Duration::from_millis(50), Duration::from_millis(20));
        let often = Duration::from_millis(200);
        let upkeep = Upkeep { first, often, age: Duration::from_secs(1_800), pause };
        let (close, closing) = Closing::new();
        let tending = {
            let (store, repositories) = (store.clone(), service.repositories().clone());
            tokio::spawn(async move { upkeep.run(&*store, &view, &repositories, closing).await })
        };
        until("the app that was never there has no repository", || !at(gone).exists()).await;
        until("the refused object is pruned", || !refused.exists()).await;
        assert!(at(going).exists());
        store.commit(Batch::new(Principal::System).with(Change::remove(going))).await.unwrap();
        until("the repository went with its app", || !at(going).exists()).await;
        assert_eq!(service.repositories().apps().await.unwrap(), BTreeSet::from([living]));
        close.send_replace(true);
        tending.await.unwrap();
        follower.abort();
    }
}
