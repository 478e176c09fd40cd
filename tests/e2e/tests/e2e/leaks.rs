//! The look at what is left on a machine sees what is left.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use flynn_core::noun::{App, Build, BuildIntent};
use flynn_core::port::Store;
use flynn_core::sqlite::{SqliteOptions, SqliteStore};
use flynn_core::value::{Digest, Resources};
use flynn_core::{Batch, Change, Clock, Ids, Principal, Scope, SystemClock};
use flynn_rig::leaks::{self, Live};
use flynn_rig::{Rig, eventually};
use tokio::runtime::Runtime;

use crate::apps::{json, plain, says};

/// A job that never was.
const NOBODY: &str = "019a0000-0000-7000-8000-00000000dead";
const PORT: &str = "fl00000000dead";

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

/// Something planted, which is to be found by these words, and how it is taken away.
struct Plant {
    words: String,
    weed: Box<dyn FnOnce()>,
}

fn plant(words: impl Into<String>, weed: impl FnOnce() + 'static) -> Plant {
    Plant { words: words.into(), weed: Box::new(weed) }
}

fn plants(rig: &Rig) -> Vec<Plant> {
    let (layout, names) = (rig.layout(), rig.names());
    let mut plants = Vec::new();
    for folder in ["containers/jobs", "network/leases", "jobs", "images/snapshots", "build/sandboxes/sandboxes"] {
        let path = layout.node().join(folder).join(NOBODY);
        fs::create_dir(&path).unwrap();
        plants.push(plant(format!("{folder}: "), move || match fs::remove_dir(&path) {
            // Its owner looks for such things from time to time, too.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.unwrap(),
        }));
    }
    for folder in [layout.blobs().join("incoming"), layout.spool(), layout.node().join("jobs")] {
        let path = folder.join("half.tmp");
        fs::write(&path, "half").unwrap();
        plants.push(plant(format!("temporary file {}", path.display()), move || fs::remove_file(path).unwrap()));
    }
    let mount = layout.data().join("mounted");
    fs::create_dir(&mount).unwrap();
    run("mount", &["-t", "tmpfs", "none", mount.to_str().unwrap()]);
    plants.push(plant("mount ", move || {
        run("umount", &[mount.to_str().unwrap()]);
        fs::remove_dir(mount).unwrap();
    }));
    let namespace = format!("{}-{NOBODY}", names.bridge());
    run("ip", &["netns", "add", &namespace]);
    run("ip", &["link", "add", PORT, "type", "veth", "peer", "name", "eth0", "netns", &namespace]);
    run("ip", &["link", "set", PORT, "master", &names.bridge()]);
    plants.push(plant(format!("link {PORT}"), || run("ip", &["link", "del", PORT])));
    plants.push(plant(format!("network namespace {namespace}"), move || run("ip", &["netns", "del", &namespace])));
    let element = |verb: &str, bridge: &str| {
        run("nft", &[verb, "element", "inet", bridge, "apps", "{", "10.99.99.99", ":", "77", "}"])
    };
    let bridge = names.bridge();
    element("add", &bridge);
    plants.push(plant(format!("element of {bridge} apps: 10.99.99.99"), move || element("delete", &bridge)));
    let member = |verb: &str, bridge: &str| {
        run("nft", &[verb, "element", "inet", bridge, "members", "{", "77", ".", "10.99.99.98", "}"])
    };
    let bridge = names.build_bridge();
    member("add", &bridge);
    plants.push(plant(format!("element of {bridge} members: 10.99.99.98"), move || member("delete", &bridge)));
    let groups = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].map(|root| format!("{root}{}", names.cgroup()));
    let group = groups.into_iter().find(|group| fs::metadata(group).is_ok()).unwrap();
    let group = format!("{group}/{NOBODY}");
    fs::create_dir(&group).unwrap();
    plants.push(plant(format!("control group {group}"), move || fs::remove_dir(group).unwrap()));
    let file = layout.store();
    let mut tail = Command::new("tail").arg("-f").arg(&file).stdout(Stdio::null()).spawn().unwrap();
    plants.push(plant(format!("process {}: tail -f", tail.id()), move || {
        tail.kill().unwrap();
        tail.wait().unwrap();
    }));
    plants
}

#[test]
fn what_is_planted_beside_a_running_app_is_found() {
    let rig = Rig::start();
    let checkout = rig.create("app");
    plain(&checkout, "alone");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "app", "alone");
    let found = || {
        let jobs = json(&rig, &["ps", "--app", "app"]);
        let ids: Vec<_> = jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
        assert!(!ids.is_empty());
        leaks::beside(&rig.layout(), &Live::of(&rig.layout(), ids))
    };
    let nothing = || {
        eventually("nothing is left", std::time::Duration::from_secs(20), || match found() {
            found if found.is_empty() => Ok(()),
            found => Err(found),
        });
    };
    // Until then their layers are on their way.
    rig.wait_for_bases();
    nothing();
    assert!(leaks::beside(&rig.layout(), &Live::default()).len() > 5, "a job has something of each");
    let plants = plants(&rig);
    let seen = found();
    let unseen: Vec<_> = plants
        .iter()
        .map(|plant| plant.words.clone())
        .filter(|words| !seen.iter().any(|seen| seen.contains(words)))
        .collect();
    plants.into_iter().for_each(|plant| (plant.weed)());
    assert!(unseen.is_empty(), "unseen: {unseen:#?} in {seen:#?}");
    nothing();
    rig.down();
}

#[test]
fn orphaned_blobs_and_layers_are_found() {
    let mut rig = Rig::start();
    let checkout = rig.create("app");
    plain(&checkout, "named");
    checkout.commit("server");
    checkout.push().expect("the push");
    rig.wait_for_bases();
    rig.take_down().expect("flynnd down");
    let (layout, blobs) = (rig.layout(), rig.layout().blobs().join("sha256"));
    let layers = layout.node().join("images/layers/sha256");
    assert_eq!(leaks::of_content(&layout), [""; 0]);
    let count = || {
        let entries = |folder: &Path| fs::read_dir(folder).unwrap().count();
        let shards = fs::read_dir(&blobs).unwrap().map(|shard| entries(&shard.unwrap().path()));
        (shards.sum::<usize>(), entries(&layers))
    };
    let named = count();
    assert!(named.0 > 2 && named.1 > 0, "the app's own content stays: {named:?}");

    // What a collector sees and takes away is no leak; what it never would is one.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1_000_000);
    let plant_blob = |name: &str, is_seen: bool| {
        let path = blobs.join("00").join(name.repeat(62));
        let file = fs::File::create(&path).unwrap();
        if !is_seen {
            file.set_modified(later).unwrap();
        }
        path
    };
    let plant_layer = |name: &str, is_seen: bool| {
        let path = layers.join(name.repeat(64));
        fs::create_dir_all(path.join("fs")).unwrap();
        let record =
            format!(r#"{{"diff_id": "sha256:{}", "entries": 0, "bytes": 0, "has_root": false}}"#, name.repeat(64));
        fs::write(path.join("layer.json"), record).unwrap();
        fs::write(path.join("durable"), "").unwrap();
        if !is_seen {
            fs::File::options().write(true).open(path.join("layer.json")).unwrap().set_modified(later).unwrap();
        }
        path
    };
    let (seen, unseen) = (plant_blob("a", true), plant_blob("b", false));
    let (seen_layer, unseen_layer) = (plant_layer("c", true), plant_layer("d", false));
    let stray = blobs.join("00/stray");
    fs::write(&stray, "stray").unwrap();
    let mut found = leaks::of_content(&layout);
    found.sort();
    let blob = |path: &Path| format!("blob {}, which nothing names", path.display());
    let expected = [blob(&unseen), blob(&stray), format!("layer {}, which no job needs", unseen_layer.display())];
    assert_eq!(found, expected);
    assert!(!seen.exists() && !seen_layer.exists());
    fs::remove_dir_all(&unseen_layer).unwrap();
    [unseen, stray].iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(leaks::of_content(&layout), [""; 0]);
    assert_eq!(count(), named);
}

#[test]
fn what_keeps_blobs_from_being_collected_is_found() {
    let mut rig = Rig::start();
    rig.create("app");
    rig.wait_for_bases();
    rig.take_down().expect("flynnd down");
    Runtime::new().unwrap().block_on(async {
        let store = SqliteStore::open(SqliteOptions::new(rig.layout().store())).await.unwrap();
        let objects = store.snapshot(Scope::All).await.unwrap().objects;
        let app = objects.iter::<App>().next().unwrap();
        let build = Build {
            app: app.id,
            number: 1,
            source: Digest::from_bytes([7; 32]),
            commit: None,
            branch: None,
            resources: Resources::ZERO,
            node: None,
            desired: BuildIntent::Finish,
        };
        let id = Ids::from_entropy().next(SystemClock.now());
        store.commit(Batch::new(Principal::System).with(Change::create(id, app.team, build))).await.unwrap();
        store.close().await;
    });
    let found = leaks::of_content(&rig.layout());
    assert!(found.len() == 1 && found[0].contains("under way forever"), "{found:?}");
}
