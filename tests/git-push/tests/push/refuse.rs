use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tower_service::Service;

use crate::client::Client;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn other_branches_tags_and_deletions_are_refused_in_their_own_words() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("").await;
    client.push("main:dev").await.expect_failure("! [remote rejected] main -> dev (only main is deployed)");
    client.push("main:refs/tags/v1").await.expect_failure("(tags are not kept here, push a branch)");
    client.push("main:refs/notes/x").await.expect_failure("(only a branch can be pushed)");
    client.git(&["tag", "-a", "-m", "x", "v1"]).await.expect_ok();
    assert!(world.handler.pushes().is_empty(), "nothing was deployed");
    client.push("main").await.expect_ok();
    client.push(":main").await.expect_failure("! [remote rejected] main (nothing is deleted by a push)");
    client
        .git(&["push", "flynn", "main:master", "main:dev"])
        .await
        .expect_failure("(only main is deployed)")
        .says("[new branch]      main -> master");
    client.commit_script("say x\n").await;
    client
        .git(&["push", "--atomic", "flynn", "main", "main:dev"])
        .await
        .expect_failure("(another ref of this atomic push is refused)");
    world.handler.pushes.lock().unwrap().clear();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_nobody_gets_in() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("").await;
    client
        .git(&["push", &world.url("web", "wrong"), "main"])
        .await
        .expect_failure("remote: log in with `flynn login`, then push again")
        .says("Authentication failed");
    let open = format!("http://{}/git/web.git", world.address);
    client.git(&["push", &open, "main"]).await.expect_failure("could not read Username");
    client.git(&["push", &world.url("web", "reader"), "main"]).await.expect_failure("remote: it takes the role");
    client
        .git(&["push", &world.url("other", crate::world::TOKEN), "main"])
        .await
        .expect_failure("remote: there is no such app")
        .says("not found");
    client.git(&["push", &world.url("other", "wrong"), "main"]).await.expect_failure("Authentication failed");
    assert!(world.handler.pushes().is_empty());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_is_refused_while_the_first_is_deployed() {
    let world = World::new().await;
    let (first, second) = (world.client().await, world.client().await);
    first.commit_script("say holding\nwait\n").await;
    second.commit_script("say other\n").await;
    let (child, mut messages) = first.start_push("main");
    messages.wait_for("remote: holding").await;
    let refused = "another push to this app is being deployed, try again when it is over";
    second.push("+main").await.expect_failure(refused);
    world.handler.gate.add_permits(1);
    messages.finish(child).await.expect_ok();
    second.push("+main").await.expect_ok();
    assert_eq!(world.handler.finished(), 2);
    world.handler.pushes.lock().unwrap().clear();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_limit_wait_and_are_refused_then() {
    let world = World::with(|settings| {
        (settings.most_requests, settings.most_requests_per_app) = (2, 1);
        settings.queue_time = Duration::from_millis(200);
    })
    .await;
    let client = world.client().await;
    client.commit_script("say holding\nwait\n").await;
    let (child, mut messages) = client.start_push("main");
    messages.wait_for("remote: holding").await;
    client.git(&["ls-remote", "flynn"]).await.expect_failure("remote: git is busy with other pushes").says("503");
    let request = http::Request::get("/git/web.git/info/refs?service=git-receive-pack")
        .header("authorization", format!("Bearer {}", crate::world::TOKEN))
        .body(http_body_util::Empty::<bytes::Bytes>::new());
    let answer = world.service.clone().call(request.unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    world.handler.gate.add_permits(1);
    messages.finish(child).await.expect_ok();
    assert_eq!(client.remote_refs().await.len(), 1, "the place is free again");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_the_limit_is_refused_with_the_limit() {
    let world = World::with(|settings| settings.most_push_bytes = 1 << 20).await;
    // The client announces the length of what is small and sends the rest in chunks.
    for (megabytes, buffer) in
        [(2, "http.postBuffer=9000000"), (2, "http.postBuffer=1000"), (20, "http.postBuffer=1000")]
    {
        let client = world.client().await;
        client.write("noise", noise(megabytes << 20));
        client.commit_script("").await;
        client
            .git(&["-c", buffer, "push", "flynn", "main"])
            .await
            .expect_failure("! [remote rejected] main -> main (the push is larger than 1 MiB)");
    }
    assert!(world.handler.pushes().is_empty());
    world.close().await;
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(bytes)
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_trees_are_refused() {
    let world = World::new().await;
    for (mode, name, problem) in [
        ("100644", ".GIT", "hasDotgit"),
        ("100644", "..", "hasDotdot"),
        ("120000", ".gitmodules", "gitmodulesSymlink"),
        ("100644", "a/b", "fullPathname"),
    ] {
        let client = world.client().await;
        commit_raw(&client, mode, name, "x").await;
        client.push("main").await.expect_failure(problem);
    }
    assert!(world.handler.pushes().is_empty());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_place_in_a_source_tree_is_named() {
    let world = World::with(|settings| settings.intake.limits.entries = 100).await;
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    for (mode, name, content, problem) in [
        ("120000", "out", "../../etc/passwd", "`out -> ../../etc/passwd` is refused: the symlink leads out"),
        ("120000", "abs", "/etc/passwd", "`abs -> /etc/passwd` is refused: a symlink to an absolute path"),
        ("100644", "big.bin", lfs, "`big.bin` is refused: it is kept by git-lfs"),
        ("160000", "module", "", "`module` is refused: it is a submodule"),
    ] {
        let client = world.client().await;
        commit_raw(&client, mode, name, content).await;
        client.push("+main").await.expect_failure(problem).says("! [remote rejected]");
    }
    let client = world.client().await;
    client.write("Makefile", "");
    client.write("makefile", "");
    client.commit().await;
    client.push("+main").await.expect_failure("`makefile` is refused: it differs from `Makefile` in case alone");

    // A tree of ten levels, each of which names the next one ten times.
    let client = world.client().await;
    let mut id = hash(&client, "blob", b"x").await;
    let mut mode = "100644";
    for _ in 0..10 {
        let entries = (0..10).map(|index| (mode, index.to_string(), id.clone()));
        id = hash(&client, "tree", &raw_tree(entries)).await;
        mode = "40000";
    }
    commit_tree(&client, &id).await;
    client.push("+main").await.expect_failure("too large: more than 100 files");
    assert!(world.handler.pushes().is_empty());
    world.close().await;
}

/// Commits a tree with one entry, which git's own commands would not make.
async fn commit_raw(client: &Client, mode: &str, name: &str, content: &str) {
    let id = match mode {
        "160000" => "1".repeat(40),
        _ => hash(client, "blob", content.as_bytes()).await,
    };
    let tree = hash(client, "tree", &raw_tree([(mode, name.to_owned(), id)])).await;
    commit_tree(client, &tree).await;
}

async fn commit_tree(client: &Client, tree: &str) {
    let commit = client.git(&["commit-tree", "-m", "hostile", tree]).await.expect_ok().stdout;
    client.git(&["update-ref", "refs/heads/main", commit.trim()]).await.expect_ok();
}

fn raw_tree<'a>(entries: impl IntoIterator<Item = (&'a str, String, String)>) -> Vec<u8> {
    let mut tree = Vec::new();
    for (mode, name, id) in entries {
        tree.extend(format!("{mode} {name}\0").as_bytes());
        tree.extend((0..40).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()));
    }
    tree
}

async fn hash(client: &Client, kind: &str, content: &[u8]) -> String {
    let args = ["hash-object", "-t", kind, "-w", "--stdin", "--literally"];
    let mut child = client.command(&args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
