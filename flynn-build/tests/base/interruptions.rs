use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use flynn_build::base::{BaseKind, MakeError, open};

use crate::world::{World, eventually, processes_of, settings};

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_killed() {
    let mut world = World::new();
    world.settings.mmdebstrap.limit = Duration::from_millis(500);
    fs::write(world.place("hang"), "").unwrap();
    let running = world.start();
    let error = running.bases.wait(BaseKind::Run, drop).await.unwrap_err();
    assert!(matches!(&*error, MakeError::TimedOut { kind: BaseKind::Run, .. }), "{error:?}");
    running.stop().await;
    world.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_leaves_nothing() {
    let world = World::new();
    fs::write(world.place("hang"), "").unwrap();
    let running = world.start();
    eventually("the program hangs", || running.is_hanging()).await;
    running.stop().await;
    world.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_driver_leaves_nothing_running() {
    let world = World::new();
    fs::write(world.place("hang"), "").unwrap();
    let (bases, driver) = world.open();
    let waiting = tokio::spawn(async move { bases.wait(BaseKind::Build, drop).await.map(drop).map_err(drop) });
    let started = || !world.calls().is_empty();
    tokio::select! {
        () = driver.run(std::future::pending()) => panic!("the driver ended by itself"),
        () = eventually("the program runs", started) => {}
    }
    assert_eq!(waiting.await.unwrap(), Err(()));
    world.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_driver_at_a_time() {
    let world = World::new();
    let (_bases, driver) = world.open();
    let second = open(world.settings.clone(), world.blobs.clone(), world.clock.clone());
    assert!(matches!(second, Err(MakeError::Invalid { .. })));
    drop(driver);
    drop(world.open());
}

/// Says to this test that it is the process to be killed.
const CHILD: &str = "FLYNN_TEST_BASE_FOLDER";

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "how the test tells its second process what to do")]
async fn nothing_outlives_a_killed_process() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let mut world = World::new();
        world.settings = settings(folder.as_ref());
        let running = world.start();
        running.ready().await;
        return;
    }
    let world = World::new();
    fs::write(world.place("hang"), "").unwrap();
    let name = "interruptions::nothing_outlives_a_killed_process";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CHILD, world.folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The program, and what it put into a session of its own.
    let is_hanging = || processes_of(&world.place("hang")).len() == 2;
    eventually("the program hangs", is_hanging).await;
    assert!(fs::read_dir(world.place("bases/work")).unwrap().next().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the program has ended", || processes_of(world.folder.path()).is_empty()).await;

    fs::remove_file(world.place("hang")).unwrap();
    let running = world.start();
    running.ready().await;
    running.stop().await;
    world.assert_nothing_is_left().await;
}
