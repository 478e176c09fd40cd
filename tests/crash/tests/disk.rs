//! A full disk: a clear error, readers go on, nothing is lost, and it recovers when there is room again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use flynn_core::name::{AppName, TeamName};
use flynn_core::noun::{App, AppId, Team};
use flynn_core::port::{EventLog, Store};
use flynn_core::sqlite::{SqliteOptions, SqliteStore};
use flynn_core::{Batch, Change, DiskFull, Ids, Principal, Revision, Scope, StoreError, TeamId, Timestamp};
use futures::StreamExt;

/// A file system of one megabyte, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).status().unwrap();
        assert!(mounted.success(), "mounting a tmpfs needs root");
        Self(at.to_owned())
    }

    fn unmount(self) {
        let at = self.0.clone();
        drop(self);
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(at.to_str().unwrap()), "the disk is still mounted");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn create(ids: &mut Ids, team: TeamId, name: &str) -> Batch {
    let id: AppId = ids.next(Timestamp::EPOCH);
    Batch::new(Principal::System).with(Change::create(id, team, App::new(AppName::new(name).unwrap())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(directory.path());
    let file = directory.path().join("store.db");
    let store = SqliteStore::open(SqliteOptions::new(&file)).await.unwrap();
    let mut ids = Ids::seeded(1);
    let team: TeamId = ids.next(Timestamp::EPOCH);
    let red = Team { name: TeamName::new("red").unwrap() };
    store.commit(Batch::new(Principal::System).with(Change::create(team, TeamId::SYSTEM, red))).await.unwrap();

    let mut acknowledged = 0;
    let refusal = loop {
        match store.commit(create(&mut ids, team, &format!("app-{acknowledged}"))).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000, "the disk does not fill up");
    };
    let StoreError::Unavailable { source, .. } = &refusal else { panic!("{refusal:?}") };
    assert!(source.downcast_ref::<DiskFull>().is_some(), "{source}");

    let during = store.snapshot(Scope::All).await.unwrap();
    assert_eq!(during.objects.count::<App>(), acknowledged);
    assert_eq!(store.tail(Scope::All, Revision::ZERO).take(acknowledged).count().await, acknowledged);
    let still = store.commit(create(&mut ids, team, "still-full")).await;
    assert!(matches!(still, Err(StoreError::Unavailable { .. })), "{still:?}");

    let roomier = Command::new("mount").args(["-o", "remount,size=8m"]).arg(directory.path()).status().unwrap();
    assert!(roomier.success());
    store.commit(create(&mut ids, team, "room-again")).await.unwrap();
    let after = store.snapshot(Scope::All).await.unwrap();
    assert_eq!(after.objects.count::<App>(), acknowledged + 1);
    assert_eq!(after.revision, during.revision.next());
    store.close().await;

    let again = SqliteStore::open(SqliteOptions::new(&file)).await.unwrap();
    assert_eq!(again.snapshot(Scope::All).await.unwrap(), after);
    again.close().await;
    disk.unmount();
}
