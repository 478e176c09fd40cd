use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use flynn_build::base::{BaseKind, BaseSource};

use crate::world::World;

fn pack(world: &World, text: &str, options: &str, name: &str) {
    let tree = world.place("tree");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("file"), text).unwrap();
    let tar = Command::new("tar")
        .args(["--mtime=@1000", options])
        .arg(world.place(name))
        .arg("-C")
        .arg(&tree)
        .arg(".")
        .status()
        .unwrap();
    assert!(tar.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_stands_in_for_an_image() {
    let mut world = World::new();
    pack(&world, "one", "-cf", "run.tar");
    pack(&world, "one", "-czf", "build.tar.gz");
    world.settings.run = BaseSource::Archive(world.place("run.tar"));
    world.settings.build = BaseSource::Archive(world.place("build.tar.gz"));
    let running = world.start();
    let [run, build] = running.ready().await;
    running.stop().await;
    assert_eq!(run.layer, build.layer, "the same content, plain and compressed");
    assert_eq!(run.bytes, fs::metadata(world.place("run.tar")).unwrap().len());
    assert_eq!(world.calls(), Vec::<String>::new());
    assert!(run.versions.is_empty());

    // Unchanged it is not read again, however old it is.
    world.clock.advance(Duration::from_secs(100 * 24 * 3_600));
    let again = world.start();
    assert_eq!(again.ready().await, [run.clone(), build]);
    again.stop().await;

    pack(&world, "two", "-cf", "run.tar");
    fs::File::open(world.place("run.tar")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let changed = world.start();
    assert_ne!(changed.ready().await[0].layer, run.layer);
    changed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_archive_is_refused() {
    for (content, expect) in [
        (Some("not a tar archive"), "is no tar archive"),
        (Some("\u{1f}\u{8b}"), "is no tar archive"),
        (Some(""), "is no tar archive"),
        (None, "No such file"),
    ] {
        let mut world = World::new();
        if let Some(content) = content {
            fs::write(world.place("run.tar"), content).unwrap();
        }
        world.settings.run = BaseSource::Archive(world.place("run.tar"));
        let running = world.start();
        let error = running.bases.wait(BaseKind::Run, drop).await.unwrap_err();
        let mut text = error.to_string();
        let mut error: &dyn std::error::Error = &*error;
        while let Some(source) = error.source() {
            text = format!("{text}: {source}");
            error = source;
        }
        assert!(text.contains(expect) && text.contains("run.tar"), "{content:?}: {text}");
        running.stop().await;
    }
}
