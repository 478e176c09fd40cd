use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

use crate::world::{World, processes_in, until};

/// What a terminal does on Ctrl-C: it asks git and the programs that git has started.
fn interrupt(child: &Child) {
    let group = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    kill_process_group(group, Signal::INT).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deploy_goes_on_without_its_pusher() {
    let world = World::new().await;
    let client = world.client().await;
    let commit = client.commit_script("say holding\nwait\nsay to nobody\n").await;
    let (child, mut messages) = client.start_push("main");
    messages.wait_for("remote: holding").await;
    interrupt(&child);
    let outcome = messages.finish(child).await;
    assert!(!outcome.ok, "{outcome:#?}");
    assert_eq!(world.handler.finished(), 0, "the deploy goes on");
    assert!(client.remote_refs().await.is_empty(), "the branch waits for it");

    world.handler.gate.add_permits(1);
    until("the deploy is over", || world.handler.finished() == 1).await;
    let main = world.repository().join("refs/heads/main");
    until("the branch has moved", || std::fs::read_to_string(&main).is_ok_and(|id| id.trim() == commit)).await;
    client.push("main").await.expect_ok().says("Everything up-to-date");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_deploy_without_its_pusher_leaves_the_branch() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("say holding\nwait\nfail no\n").await;
    let (child, mut messages) = client.start_push("main");
    messages.wait_for("remote: holding").await;
    interrupt(&child);
    messages.finish(child).await;
    world.handler.gate.add_permits(1);
    until("the deploy is over", || world.handler.finished() == 1).await;
    until("git has ended", || processes_in(&world.repository()).is_empty()).await;
    assert!(client.remote_refs().await.is_empty());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_waits_for_its_deploys_when_it_stops() {
    let mut world = World::new().await;
    let client = world.client().await;
    client.commit_script("say holding\nwait\n").await;
    let (child, mut messages) = client.start_push("main");
    messages.wait_for("remote: holding").await;
    world.stop();
    client.git(&["fetch", "flynn"]).await.expect_failure("503");
    assert_eq!(world.handler.finished(), 0);
    world.handler.gate.add_permits(1);
    messages.finish(child).await.expect_ok();
    assert_eq!(world.handler.finished(), 1);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn git_dies_with_a_pusher_who_leaves_before_the_deploy() {
    use tokio::io::AsyncWriteExt;

    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("").await;
    client.remote_refs().await;
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let head = "POST /git/web.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sesame\r\n\
                Content-Type: application/x-git-receive-pack-request\r\nTransfer-Encoding: chunked\r\n\r\n\
                4\r\n00b0\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    until("git runs", || !processes_in(&world.repository()).is_empty()).await;
    drop(stream);
    until("git has gone", || processes_in(&world.repository()).is_empty()).await;
    assert!(world.handler.pushes().is_empty());
    world.close().await;
}
