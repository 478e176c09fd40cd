//! Routes from a file that changes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flynn_router::config::{ConfigError, ConfigFollower};
use flynn_router::table::ShardedTable;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::instance::Instance;
use crate::rig::{Rig, settings, soon, until};

fn write(path: &Path, host: &str, instance: &str) {
    let text = format!("[apps.web]\ninstances = ['{instance}']\n[[routes]]\nhost = '{host}'\napp = 'web'\n");
    fs::write(path, text).unwrap();
}

async fn status(rig: &Rig, host: &str) -> u16 {
    rig.get(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await.status
}

/// Waits until requests for `host` are answered with `expect`.
async fn becomes(rig: &Rig, host: &str, expect: u16) {
    soon(async {
        while status(rig, host).await != expect {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_is_followed_and_a_bad_one_changes_nothing() {
    let (instance, folder) = (Instance::hello().await, tempfile::tempdir().unwrap());
    let (path, address) = (folder.path().join("router.toml"), instance.address().to_string());
    let table = Arc::new(ShardedTable::new());
    let rig = Rig::over(table.clone(), settings(|_| {})).await;
    let mut follower = ConfigFollower::new(&path, table).every(Duration::from_millis(10));
    assert!(matches!(follower.load().await, Err(ConfigError::Io { .. })));
    write(&path, "a.example", &address);
    assert!(follower.load().await.unwrap());
    assert!(!follower.load().await.unwrap());
    assert_eq!(status(&rig, "a.example").await, 200);

    fs::write(&path, "[[routes]]\nhost = 'b.example'\napp = 'nobody'\n").unwrap();
    let error = follower.load().await.unwrap_err();
    let expect = format!("{}:3:7: there is no app \"nobody\": add a table [apps.nobody]", path.display());
    assert_eq!(error.to_string(), expect);
    assert_eq!((status(&rig, "a.example").await, status(&rig, "b.example").await), (200, 404));

    let (stop, stopped) = oneshot::channel::<()>();
    let following = tokio::spawn(follower.run(async { drop(stopped.await) }));
    write(&path, "b.example", &address);
    becomes(&rig, "b.example", 200).await;
    assert_eq!(status(&rig, "a.example").await, 404);
    fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(status(&rig, "b.example").await, 200);
    // As editors do it.
    let fresh = folder.path().join("fresh");
    write(&fresh, "c.example", &address);
    fs::rename(&fresh, &path).unwrap();
    becomes(&rig, "c.example", 200).await;
    drop(stop);
    soon(following).await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_the_file_fail_no_request() {
    let (first, second) = (Instance::hello().await, Instance::hello().await);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router.toml");
    let table = Arc::new(ShardedTable::new());
    let rig = Arc::new(Rig::over(table.clone(), settings(|_| {})).await);
    let mut follower = ConfigFollower::new(&path, table);
    write(&path, "a.example", &first.address().to_string());
    follower.load().await.unwrap();
    let mut clients = JoinSet::new();
    let (done, over) = tokio::sync::watch::channel(false);
    for _ in 0..4 {
        let (rig, over) = (rig.clone(), over.clone());
        clients.spawn(async move {
            while !*over.borrow() {
                assert_eq!(status(&rig, "a.example").await, 200);
            }
        });
    }
    for round in 0..200 {
        let instance = if round % 2 == 0 { &second } else { &first };
        write(&path, "a.example", &instance.address().to_string());
        follower.load().await.unwrap();
    }
    until(|| !first.seen().is_empty() && !second.seen().is_empty()).await;
    done.send_replace(true);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    Arc::into_inner(rig).unwrap().end().await;
}
