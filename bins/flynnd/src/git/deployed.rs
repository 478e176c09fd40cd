use flynn_build::git::{Branch, CommitId, Deployed, GitError, Repositories};
use flynn_core::Scope;
use flynn_core::noun::App;
use flynn_core::port::Store;

/// Sets the branches of all apps to what the store says is deployed.
pub(crate) async fn repair(store: &impl Store, repositories: &Repositories) -> anyhow::Result<()> {
    let objects = store.snapshot(Scope::All).await?.objects;
    for app in objects.iter::<App>() {
        let release = app.status.release.and_then(|id| objects.get(id));
        let commit = release.and_then(|release| release.spec.commit.as_deref()?.parse::<CommitId>().ok());
        let deployed = match commit {
            Some(commit) => Some(Deployed { branch: Branch::new("main")?, commit }),
            None => None,
        };
        match repositories.repair(app.id, deployed.as_ref()).await {
            // What an upload deployed was never in the repository.
            Ok(()) | Err(GitError::NotFound { .. }) => {}
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!(app = %app.spec.name, "the repository could not be set to what is deployed: {error:#}");
            }
        }
    }
    Ok(())
}
