//! What an image consists of, and what is used again.

use flynn_build::source::{Intake, SourceTree};
use flynn_core::noun::Probe;
use flynn_core::port::{Blobs, MountSource};
use flynn_core::{Clock, Timestamp};
use serde_json::json;
use std::time::Duration;

use crate::node::Play;
use crate::world::World;

const SCRIPT: [(&str, &str); 2] = [("Procfile", "web: ./serve --now\njobs: ./a && ./b\n"), ("serve", "#!/bin/sh\n")];

fn flask(code: &str) -> [(&'static str, &str); 3] {
    [("Procfile", "web: flask run"), ("requirements.txt", "flask==3.1.2\n"), ("app.py", code)]
}

#[tokio::test(start_paused = true)]
async fn an_app_that_needs_no_building_is_base_and_source() {
    let world = World::new().await;
    let output = world.built(world.cluster.app, &SCRIPT).await;
    let manifest = world.document(output.image).await;
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    assert!(layers.iter().all(|layer| layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar"));
    let config = world.document(manifest["config"]["digest"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(config["rootfs"]["diff_ids"], json!([layers[0]["digest"], layers[1]["digest"]]));
    assert_eq!(config["config"]["Env"], json!(["HOME=/app", "PATH=/usr/bin:/bin"]));
    let processes: Vec<_> = output.processes.iter().map(|(n, p)| (n.as_str(), p.command[2].as_str(), p.port)).collect();
    assert_eq!(processes, [("jobs", "./a && ./b", None), ("web", "exec ./serve --now", Some(8080))]);
    assert_eq!(output.processes.values().nth(1).unwrap().check.as_ref().unwrap().probe, Probe::Tcp);
    assert_eq!(world.node.started().len(), 0);

    // The source's layer is a tar archive of the source beneath /app.
    let folder = tempfile::tempdir().unwrap();
    let layer = world.blob(layers[1]["digest"].as_str().unwrap().parse().unwrap()).await;
    let tree = SourceTree::from_archive(&layer[..], &Intake::new(folder.path())).unwrap();
    let paths: Vec<_> = tree.entries().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["app", "app/Procfile", "app/serve"]);
    world.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn the_same_tree_is_built_once() {
    let world = World::new().await;
    let first = world.built(world.cluster.app, &SCRIPT).await;
    let source = world.source(&SCRIPT).await;
    let build = world.place(world.cluster.app, source).await;
    world.working(world.ended(build)).await;
    assert!(world.log(build).iter().any(|line| line.contains("was built before")), "{:?}", world.log(build));
    let again = world.built(world.cluster.app, &SCRIPT).await;
    assert_eq!(again, first);

    // What has vanished is made again, and is the same.
    world.cluster.clock.advance(Duration::from_secs(1));
    let now = world.cluster.clock.now();
    let gone = world.layers(first.image).await[1];
    world.blobs.remove(gone, now).await.unwrap();
    assert_eq!(world.built(world.cluster.app, &SCRIPT).await, first);
    assert!(world.blobs.stat(gone).await.unwrap().is_some());

    // Another app has nothing of it, even if the outcome is equal.
    let other = world.cluster.create_app("other").await;
    let build = world.place(other, source).await;
    world.working(world.ended(build)).await;
    assert!(!world.log(build).iter().any(|line| line.contains("was built before")));
}

#[tokio::test(start_paused = true)]
async fn packages_are_installed_once_per_requirements() {
    let world = World::new().await;
    let app = world.cluster.app;
    let first = world.layers(world.built(app, &flask("one")).await.image).await;
    let started = world.node.started();
    assert_eq!(started.len(), 2, "uv, and the packages");
    assert!(started.iter().all(|spec| spec.network.is_some() && spec.process.user == (1000, 1000)));
    let has_cache = |index: usize| {
        let spec: &flynn_core::port::ContainerSpec = &started[index];
        spec.mounts.iter().any(|mount| mount.target.to_str() == Some("/cache"))
    };
    assert!(!has_cache(0) && has_cache(1), "what all apps share is made without the app's cache");
    for spec in &started {
        let writable = spec.mounts.iter().filter(|mount| !mount.read_only).map(|mount| mount.target.to_str().unwrap());
        assert!(
            writable.clone().all(|target| ["/tmp", "/cache"].contains(&target)),
            "{:?}",
            writable.collect::<Vec<_>>()
        );
        assert!(spec.mounts.iter().all(|mount| matches!(mount.source, MountSource::Bind(_))));
    }

    let second = world.layers(world.built(app, &flask("two")).await.image).await;
    assert_eq!(world.node.started().len(), 2, "a change of the code starts no sandbox");
    assert_eq!(first[..2], second[..2]);
    assert_ne!(first[2], second[2]);

    let mut changed = flask("two");
    changed[1].1 = "flask==3.1.1\n";
    let third = world.layers(world.built(app, &changed).await.image).await;
    assert_eq!(world.node.started().len(), 3, "uv is there");
    assert_ne!(second[1], third[1]);

    let other = world.cluster.create_app("other").await;
    world.built(other, &flask("one")).await;
    assert_eq!(world.node.started().len(), 4, "apps share uv and nothing else");
    world.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_is_a_requirement_is_there_when_packages_are_installed() {
    let world = World::new().await;
    let app = world.cluster.app;
    let tree = |code| [("Procfile", "web: x"), ("requirements.txt", "-e .\n"), ("pyproject.toml", ""), ("a.py", code)];
    let first = world.layers(world.built(app, &tree("1")).await.image).await;
    assert_eq!(world.node.chains()[1].last(), first.last(), "the source lies on top");
    world.built(app, &tree("2")).await;
    assert_eq!(world.node.started().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_image_of_python_finds_its_packages() {
    let world = World::new().await;
    world.node.play([Play::ends(0, ""), Play { output: "Installed 7 packages\n".into(), ..Play::ends(0, "") }]);
    let build = world.place(world.cluster.app, world.source(&flask("one")).await).await;
    let flynn_core::noun::BuildState::Succeeded(output) = world.working(world.ended(build)).await else { panic!() };
    assert!(world.log(build).contains(&"Installed 7 packages".to_owned()));
    let manifest = world.document(output.image).await;
    let config = world.document(manifest["config"]["digest"].as_str().unwrap().parse().unwrap()).await;
    let env = config["config"]["Env"].as_array().unwrap();
    assert!(env.contains(&json!("PATH=/layers/python/venv/bin:/usr/bin:/bin")), "{env:?}");
    assert!(env.contains(&json!("PYTHONUNBUFFERED=1")));
    assert!(world.cluster.clock.now() > Timestamp::EPOCH);
}
