use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flynn_build::git::{Branch, Deployed, GitError};
use flynn_core::AppId;

use crate::world::{APP, World, until};

/// Git compares whole seconds, so what was made within this one counts as young.
fn age(repository: &Path) {
    let older = ["-type", "f", "-exec", "touch", "--date=10 seconds ago", "{}", "+"];
    let aged = Command::new("find").arg(repository.join("objects")).args(older).status();
    assert!(aged.unwrap().success());
}

fn touch(path: &Path) {
    assert!(Command::new("touch").arg("--date=10 seconds ago").arg(path).status().unwrap().success());
}

fn deployed(commit: &str) -> Deployed {
    Deployed { branch: Branch::new("main").unwrap(), commit: commit.parse().unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_are_repaired_from_what_is_deployed() {
    let world = World::new().await;
    let client = world.client().await;
    let app: AppId = APP.parse().unwrap();
    let first = client.commit_script("").await;
    client.push("main").await.expect_ok();
    let second = client.commit_script("say second\n").await;
    client.push("main").await.expect_ok();

    let repositories = world.service.repositories();
    repositories.repair(app, Some(&deployed(&first))).await.unwrap();
    assert_eq!(client.remote_refs().await, [format!("{first} refs/heads/main")]);
    repositories.repair(app, Some(&deployed(&second))).await.unwrap();
    assert_eq!(client.remote_refs().await, [format!("{second} refs/heads/main")]);

    let lost = repositories.repair(app, Some(&deployed(&"1".repeat(40)))).await;
    assert!(matches!(lost, Err(GitError::NotFound { .. })), "{lost:?}");
    assert!(client.remote_refs().await.is_empty(), "the next push brings it");
    client.push("main").await.expect_ok();
    repositories.repair(app, None).await.unwrap();
    assert!(client.remote_refs().await.is_empty());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refused_pushes_left_is_pruned() {
    let world = World::new().await;
    let client = world.client().await;
    let app: AppId = APP.parse().unwrap();
    let kept = client.commit_script("").await;
    client.push("main").await.expect_ok();
    let refused = client.commit_script("fail no\n").await;
    client.push("main").await.expect_failure("(no)");
    let has = async |id: &str| {
        world
            .service
            .repositories()
            .tree(app, &id.parse().unwrap(), &flynn_build::source::Intake::new(world.folder.path().join("spool")))
            .await
            .is_ok()
    };
    assert!(has(&refused).await, "objects come before the deploy");

    let repositories = world.service.repositories();
    repositories.collect(app, Duration::from_secs(3_600)).await.unwrap();
    assert!(has(&refused).await, "it is younger than an hour");
    age(&world.repository());
    repositories.collect(app, Duration::ZERO).await.unwrap();
    assert!(!has(&refused).await);
    assert!(has(&kept).await);
    client.commit_script("say again\n").await;
    client.push("main").await.expect_ok();
    // What was pushed after a collection that left nothing to prune is collected as well.
    repositories.collect(app, Duration::ZERO).await.unwrap();
    let refused = client.commit_script("fail no\n").await;
    client.push("main").await.expect_failure("(no)");
    age(&world.repository());
    // What a push leaves behind that was killed while it sent.
    let cut = world.repository().join("objects/tmp_objdir-incoming-cut");
    std::fs::create_dir(&cut).unwrap();
    std::fs::write(cut.join("pack"), "x").unwrap();
    touch(&cut);
    repositories.collect(app, Duration::ZERO).await.unwrap();
    assert!(!has(&refused).await && !cut.exists());
    assert_eq!(repositories.apps().await.unwrap().into_iter().collect::<Vec<_>>(), [app]);
    repositories.remove(app).await.unwrap();
    repositories.remove(app).await.unwrap();
    assert!(repositories.apps().await.unwrap().is_empty());
    repositories.collect(app, Duration::ZERO).await.unwrap();
    assert!(!world.repository().exists());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_in_use_is_left_alone() {
    let world = World::new().await;
    let client = world.client().await;
    let app: AppId = APP.parse().unwrap();
    client.commit_script("say holding\nwait\n").await;
    let (child, mut messages) = client.start_push("main");
    messages.wait_for("remote: holding").await;
    let repositories = world.service.repositories();
    for refused in [
        repositories.repair(app, None).await,
        repositories.collect(app, Duration::ZERO).await,
        repositories.remove(app).await,
    ] {
        assert!(matches!(refused, Err(GitError::Busy { .. })), "{refused:?}");
    }
    world.handler.gate.add_permits(1);
    messages.finish(child).await.expect_ok();
    until("it is free", || world.handler.finished() == 1).await;
    repositories.repair(app, None).await.unwrap();
    world.close().await;
}
