use std::fs;
use std::time::Duration;

use flynn_build::base::{BaseImages, BaseKind, BaseState, MakeError};

use crate::world::{KINDS, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn both_are_made_once_and_found_again() {
    let world = World::new();
    let running = world.start();
    let [run, build] = running.ready().await;
    assert_eq!(world.calls(), ["run", "build"]);
    assert_ne!(run.layer, build.layer);
    let image = running.bases.ensure(BaseKind::Run).await.unwrap();
    assert_eq!(image.layers, [run.layer]);
    assert_eq!(image.key, run.layer);
    assert_eq!(image.versions.get("python").unwrap(), "3.11.2");
    assert!(image.env.get("PATH").unwrap().contains("/usr/bin"));
    running.stop().await;

    let again = world.start();
    assert_eq!(again.ready().await, [run, build]);
    assert_eq!(world.calls(), ["run", "build"]);
    again.stop().await;
    world.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_has_the_user_of_apps_and_nothing_of_this_machine() {
    let world = World::new();
    let running = world.start();
    let [run, _] = running.ready().await;
    running.stop().await;
    let passwd = world.read(&run, "etc/passwd").await.unwrap();
    assert_eq!(passwd.lines().last(), Some("app:x:1000:1000:app:/app:/bin/sh"));
    assert_eq!(world.read(&run, "etc/hostname").await.unwrap(), "");
    assert_eq!(world.read(&run, "etc/apt/apt.conf.d/99mmdebstrap").await, None);
    let listing = std::process::Command::new("tar").arg("-tvf").arg(world.place("image.tar")).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    let line = |name: &str| listing.lines().find(|line| line.ends_with(name)).unwrap().to_owned();
    assert!(line(" ./app/").starts_with("drwxr-xr-x 1000/1000"), "{listing}");
    assert!(line(" ./usr/bin/su").starts_with("-rwxr-xr-x"), "{listing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_the_blob_store_lost_is_made_again() {
    let world = World::new();
    let running = world.start();
    let [run, build] = running.ready().await;
    world.forget(&build).await;
    assert_eq!(running.ready().await, [run.clone(), build.clone()]);
    assert_eq!(world.calls(), ["run", "build", "build"]);
    running.stop().await;

    world.forget(&run).await;
    let again = world.start();
    assert_eq!(again.ready().await, [run, build]);
    assert_eq!(world.calls(), ["run", "build", "build", "run"]);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_counts_as_none() {
    let world = World::new();
    let running = world.start();
    let made = running.ready().await;
    running.stop().await;
    let records = || {
        let names = fs::read_dir(world.place("bases")).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|end| end == "json")).collect::<Vec<_>>()
    };
    assert_eq!(records().len(), 2);
    records().iter().for_each(|path| fs::write(path, "{").unwrap());
    // That of a recipe that nobody uses any more.
    fs::write(world.place("bases").join(format!("{}.json", "0".repeat(64))), "{}").unwrap();

    let again = world.start();
    assert_eq!(again.ready().await, made);
    assert_eq!(world.calls().len(), 4);
    eventually("the old record is gone", || records().len() == 2).await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_why_and_is_tried_again_when_somebody_asks() {
    let mut world = World::new();
    world.settings.patience = Duration::from_secs(3_600);
    fs::write(world.place("fail"), "E: Failed to fetch http://mirror.test: no route\nE: mmdebstrap failed to run\n")
        .unwrap();
    let running = world.start();
    let error = running.bases.wait(BaseKind::Run, drop).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("run base image: Failed to fetch http://mirror.test: no route"), "{text}");
    let MakeError::Failed { log, .. } = &*error else { panic!("{error:?}") };
    assert!(fs::read_to_string(log).unwrap().contains("only a warning"));

    fs::remove_file(world.place("fail")).unwrap();
    running.ready().await;
    running.stop().await;
    world.assert_nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_named_with_its_package() {
    let world = World::new();
    let program = world.place("mmdebstrap");
    fs::rename(&program, world.place("elsewhere")).unwrap();
    let running = world.start();
    let error = running.bases.ensure(BaseKind::Build).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("`apt-get install mmdebstrap`"), "{source}");

    fs::rename(world.place("elsewhere"), program).unwrap();
    running.ready().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_image_is_renewed_and_used_until_then() {
    let world = World::new();
    let running = world.start();
    let [run, build] = running.ready().await;
    running.stop().await;

    world.clock.advance(Duration::from_secs(8 * 24 * 3_600));
    fs::write(world.place("fail"), "E: no route\n").unwrap();
    let failing = world.start();
    assert_eq!(failing.ready().await, [run.clone(), build.clone()]);
    eventually("both were tried", || world.calls().len() == 4).await;
    assert_eq!(failing.ready().await, [run.clone(), build.clone()]);
    failing.stop().await;

    fs::remove_file(world.place("fail")).unwrap();
    fs::write(world.place("extra"), "an update\n").unwrap();
    let renewing = world.start();
    for kind in KINDS {
        let is_new = || matches!(renewing.bases.state(kind), BaseState::Ready(base) if base.made_at > run.made_at);
        eventually("the image is renewed", is_new).await;
    }
    let [new_run, new_build] = renewing.ready().await;
    assert_ne!(new_run.layer, run.layer);
    assert_ne!(new_build.layer, build.layer);
    renewing.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_proxies_are_on_no_command_line() {
    let mut world = World::new();
    world.settings.mmdebstrap.proxy = Some("http://user:hunter2@proxy.test:3128".into());
    let running = world.start();
    running.ready().await;
    running.stop().await;
    assert!(fs::read_to_string(world.place("options")).unwrap().contains("hunter2"));
    assert!(!fs::read_to_string(world.place("arguments")).unwrap().contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_so() {
    let world = World::new();
    fs::write(world.place("hang"), "").unwrap();
    let running = world.start();
    eventually("the program hangs", || running.is_hanging()).await;
    assert_eq!(running.bases.progress(BaseKind::Run).as_deref(), Some("hanging"));
    let (words, mut told) = tokio::sync::mpsc::channel(8);
    let bases = running.bases.clone();
    let waiting = tokio::spawn(async move {
        bases.wait(BaseKind::Run, |word| drop(words.try_send(word))).await.map(drop).map_err(|error| error.to_string())
    });
    let word = told.recv().await.unwrap();
    assert!(word.contains("waiting for the run base image") && word.contains("(hanging)"), "{word}");
    running.stop().await;
    assert_eq!(waiting.await.unwrap(), Err("make base image: stopped".to_owned()));
    world.assert_nothing_is_left().await;
}
