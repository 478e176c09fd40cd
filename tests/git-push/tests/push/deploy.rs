use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_deployed_and_cloned_back() {
    let world = World::new().await;
    let client = world.client().await;
    client.write("src/app.txt", "hello");
    let commit = client.commit_script("say building\n").await;
    client.push("main").await.expect_ok().says("remote: building").says(&format!("remote: released {commit}"));

    let pushes = world.handler.pushes();
    assert_eq!(pushes.len(), 1);
    assert_eq!((pushes[0].commit.as_str(), pushes[0].branch.as_str()), (commit.as_str(), "main"));
    let paths: Vec<_> = pushes[0].source.entries().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths, ["deploy", "src", "src/app.txt"]);

    let copy = world.folder.path().join("copy");
    client.git(&["clone", "--quiet", &world.url("web", "reader"), copy.to_str().unwrap()]).await.expect_ok();
    assert_eq!(std::fs::read_to_string(copy.join("src/app.txt")).unwrap(), "hello");
    drop(pushes);
    world.handler.pushes.lock().unwrap().clear();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_arrives_while_the_deploy_goes_on() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("say first\nwait\nsay second\nwait\n").await;
    let (mut child, mut messages) = client.start_push("main");
    messages.wait_for("remote: first").await;
    assert_eq!(world.handler.finished(), 0);
    assert!(child.try_wait().unwrap().is_none(), "the push goes on");
    world.handler.gate.add_permits(1);
    messages.wait_for("remote: second").await;
    assert_eq!(world.handler.finished(), 0);
    world.handler.gate.add_permits(1);
    messages.finish(child).await.expect_ok().says("main -> main");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_is_the_status_of_the_ref_and_the_branch_stays() {
    let world = World::new().await;
    let client = world.client().await;
    let first = client.commit_script("").await;
    client.push("main").await.expect_ok();
    client.commit_script("say npm ERR!\nfail build failed: npm exited 1 (build 42)\n").await;
    client
        .push("main")
        .await
        .expect_failure("remote: npm ERR!")
        .says("! [remote rejected] main -> main (build failed: npm exited 1 (build 42))");
    assert_eq!(client.remote_refs().await, [format!("{first} refs/heads/main")]);
    let second = client.commit_script("").await;
    client.push("main").await.expect_ok();
    assert_eq!(client.remote_refs().await, [format!("{second} refs/heads/main")]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_branch_is_not_deployed_again() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("").await;
    client.push("main").await.expect_ok();
    client.push("main").await.expect_ok().says("Everything up-to-date");
    assert_eq!(world.handler.finished(), 1);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_needs_force_and_is_deployed() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("say one\n").await;
    client.push("main").await.expect_ok();
    client.git(&["commit", "--quiet", "--amend", "--message", "other"]).await.expect_ok();
    let commit = client.head().await;
    client.push("main").await.expect_failure("[rejected]");
    client.push("+main").await.expect_ok().says("forced update");
    assert_eq!(client.remote_refs().await, [format!("{commit} refs/heads/main")]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_another_has_overtaken_is_refused_before_it_is_deployed() {
    let world = World::new().await;
    let (client, quicker) = (world.client().await, world.client().await);
    client.commit_script("").await;
    let commit = quicker.commit_script("say quicker\n").await;
    // Git runs this when it has seen the branches of the service, and before it sends anything.
    let hook = format!("#!/bin/sh\nunset GIT_DIR\nexec git -C {} push --quiet flynn main\n", quicker.folder.display());
    client.write(".git/hooks/pre-push", hook);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(client.folder.join(".git/hooks/pre-push"), executable).unwrap();
    client.push("main").await.expect_failure("main has moved since this push began, push again");
    assert_eq!(world.handler.finished(), 1);
    assert_eq!(client.remote_refs().await, [format!("{commit} refs/heads/main")]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_branch_is_the_one_deployed_last() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("").await;
    client.push("main").await.expect_ok();
    let commit = client.commit_script("say two\n").await;
    client.push("main:master").await.expect_ok();
    assert_eq!(client.remote_refs().await, [format!("{commit} refs/heads/master")]);
    let copy = world.folder.path().join("copy");
    client.git(&["clone", "--quiet", &world.url("web", "reader"), copy.to_str().unwrap()]).await.expect_ok();
    assert!(copy.join("deploy").exists(), "a clone checks out the deployed branch");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_clone_can_push() {
    let world = World::new().await;
    let client = world.client().await;
    for step in 0..3 {
        client.commit_script(&format!("say {step}\n")).await;
    }
    let shallow = world.client().await;
    let origin = format!("file://{}", client.folder.display());
    shallow.git(&["fetch", "--quiet", "--depth=1", &origin, "main"]).await.expect_ok();
    shallow.git(&["reset", "--quiet", "--hard", "FETCH_HEAD"]).await.expect_ok();
    let commit = shallow.head().await;
    shallow.push("HEAD:main").await.expect_ok().says("remote: 2");
    assert_eq!(shallow.remote_refs().await, [format!("{commit} refs/heads/main")]);
    // The repository is whole: a commit on top can follow, and the complete history as well.
    shallow.commit_script("say on top\n").await;
    shallow.push("HEAD:main").await.expect_ok();
    client.push("+main").await.expect_ok();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_the_push_reach_the_handler() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("").await;
    client.git(&["push", "-o", "no-cache", "-o", "builder=python", "flynn", "main"]).await.expect_ok();
    assert_eq!(world.handler.pushes()[0].options, ["no-cache", "builder=python"]);
    world.handler.pushes.lock().unwrap().clear();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_answers_to_its_id_too() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("").await;
    let url = world.url(crate::world::APP, crate::world::TOKEN);
    client.git(&["push", &url, "main"]).await.expect_ok();
    client.push("main").await.expect_ok().says("Everything up-to-date");
    world.close().await;
}
