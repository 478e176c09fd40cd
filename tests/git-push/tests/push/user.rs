use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use flynn_build::git::{Branch, Deployed, GitUser};

use crate::world::{APP, World};

const NOBODY: GitUser = GitUser { uid: 65_534, gid: 65_534 };

#[tokio::test(flavor = "multi_thread")]
async fn git_runs_as_the_user_it_is_given() {
    // A test that returns without a word would count as passed.
    assert!(rustix::process::geteuid().is_root(), "only root can become somebody else: run the tests as root");
    // The hook has to be where that user can reach it.
    let shared = tempfile::tempdir().unwrap();
    let open = |path: &Path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    let hook = shared.path().join("git-hook");
    std::fs::copy(env!("CARGO_BIN_EXE_git-hook"), &hook).unwrap();
    open(shared.path());
    open(&hook);
    let world = World::with(|settings| {
        settings.user = Some(NOBODY);
        settings.hook.program = hook.clone();
        open(settings.runtime.parent().unwrap());
    })
    .await;
    let client = world.client().await;
    let commit = client.commit_script("say holding\nwait\n").await;
    let (child, mut messages) = client.start_push("main");
    messages.wait_for("remote: holding").await;
    let users = users_in(&world.repository());
    assert!(users.len() >= 2 && users.iter().all(|uid| *uid == NOBODY.uid), "git and its hook: {users:?}");
    world.handler.gate.add_permits(1);
    messages.finish(child).await.expect_ok();
    let owner = world.repository().join("refs/heads/main").metadata().unwrap().uid();
    assert_eq!(owner, NOBODY.uid);
    let deployed = Deployed { branch: Branch::new("main").unwrap(), commit: commit.parse().unwrap() };
    world.service.repositories().repair(APP.parse().unwrap(), Some(&deployed)).await.unwrap();
    world.close().await;
}

/// As whom the processes run whose working folder lies in `folder`.
fn users_in(folder: &Path) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    processes
        .filter(|process| std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .filter_map(|process| Some(process.metadata().ok()?.uid()))
        .collect()
}
