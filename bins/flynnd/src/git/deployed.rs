use flynn_build::git::{Branch, CommitId, Deployed, GitError, Repositories};
use flynn_core::Scope;
use flynn_core::noun::{App, Release};
use flynn_core::port::Store;

/// Sets the branches of all apps to what the store says is deployed.
pub(crate) async fn repair(store: &impl Store, repositories: &Repositories) -> anyhow::Result<()> {
    let objects = store.snapshot(Scope::All).await?.objects;
    for app in objects.iter::<App>() {
        let release = app.status.release.and_then(|id| objects.get(id));
        let deployed = release.and_then(|release| deployed(&release.spec));
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

/// What a release was pushed as; none if it was not pushed.
fn deployed(release: &Release) -> Option<Deployed> {
    let commit: CommitId = release.commit.as_deref()?.parse().ok()?;
    let branch = Branch::new(release.branch.as_deref()?).ok()?;
    Some(Deployed { branch, commit })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flynn_core::Ids;
    use flynn_core::value::Digest;

    use super::*;

    #[test]
    fn a_release_is_at_the_branch_that_it_was_pushed_to() {
        let app = Ids::seeded(1).next(flynn_core::Timestamp::EPOCH);
        let image = Release::of_image(app, 1, Digest::from_bytes([1; 32]), "image", BTreeMap::new());
        assert_eq!(deployed(&image), None);
        let commit = "1".repeat(40);
        for branch in ["main", "master"] {
            let pushed = Release { commit: Some(commit.clone()), branch: Some(branch.into()), ..image.clone() };
            let wanted = Deployed { branch: Branch::new(branch).unwrap(), commit: commit.parse().unwrap() };
            assert_eq!(deployed(&pushed), Some(wanted));
        }
        // What is uploaded may say which commit it is, but none of its objects are here.
        assert_eq!(deployed(&Release { commit: Some(commit), ..image }), None);
    }
}
