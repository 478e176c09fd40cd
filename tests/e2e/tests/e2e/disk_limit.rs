//! Who writes more than granted is stopped, and told so; the others go on.

use std::time::Duration;

use flynn_rig::{Rig, RigOptions, eventually};

use crate::apps::{json, plain, says};

const SOON: Duration = Duration::from_secs(60);

/// An app that is served, beside which `fill` writes without end: to a file that grows, to one that is long and
/// empty, or to ever more empty files.
fn writers(rig: &Rig) -> flynn_rig::Checkout {
    let checkout = rig.create("app");
    plain(&checkout, "served");
    checkout.write(
        "Procfile",
        "web: python3 server.py\n\
         fill: sh -c 'echo filling; while true; do head -c 4194304 /dev/zero >> /tmp/file; sleep 0.1; done'\n\
         sparse: sh -c 'truncate -s 1T /tmp/sparse; echo sparse; sleep 1000'\n\
         many: python3 many.py\n",
    );
    checkout.write(
        "many.py",
        "import os\nprint('making', flush=True)\nos.mkdir('/tmp/many')\nn = 0\nwhile True:\n    open(f'/tmp/many/{n}', 'w').close()\n    n += 1\n",
    );
    checkout.commit("writers");
    checkout.push().expect("the push");
    says(rig, "app", "served");
    checkout
}

#[test]
fn an_instance_over_its_disk_limit_is_killed_and_started_again_with_the_usual_waits() {
    let rig = Rig::start();
    let _checkout = writers(&rig);
    let limits = [("fill", "64M"), ("sparse", "64M"), ("many", "16M")];
    for (process, limit) in limits {
        rig.flynn(&["limits", "set", process, &format!("disk={limit}"), "--app", "app"]).expect("flynn limits set");
    }
    assert!(json(&rig, &["limits", "--app", "app"]).to_string().contains("67108864"));
    rig.flynn(&["scale", "fill=1", "sparse=1", "many=1", "--no-wait", "--app", "app"]).expect("flynn scale");
    for (process, limit) in [("fill", "64 MiB"), ("many", "16 MiB")] {
        eventually(&format!("{process} is killed, with its reason"), SOON, || {
            let logs = rig.flynn(&["logs", "--app", "app", "--num", "1000"]);
            let is_said = logs.stdout.lines().any(|line| {
                line.contains(&format!("{process}.1 was killed: disk limit of {limit} exceeded ("))
                    && line.contains("used)")
            });
            if is_said { Ok(()) } else { Err(logs) }
        });
    }
    eventually("flynn ps says why", SOON, || {
        let shown = rig.flynn(&["ps", "--all", "--app", "app"]);
        let row =
            shown.stdout.lines().find(|line| line.contains("fill.1") && line.contains("killed")).map(str::to_owned);
        if row.is_some_and(|row| row.contains("it was killed: disk limit of 64 MiB exceeded (")) {
            Ok(())
        } else {
            Err(shown)
        }
    });
    // A hole in a file takes no room, and who keeps to the limit is left alone.
    says(&rig, "app", "served");
    let jobs = json(&rig, &["ps", "--app", "app"]).to_string();
    assert!(jobs.contains("sparse.1"), "{jobs}");
    let logs = rig.flynn(&["logs", "--app", "app", "--num", "1000"]).stdout;
    assert!(!logs.contains("sparse.1 was killed") && !logs.contains("web.1 was killed"), "{logs}");
    rig.flynn(&["scale", "fill=0", "many=0", "--no-wait", "--app", "app"]).expect("flynn scale");
    rig.down();
}

#[test]
fn with_little_space_left_nothing_is_begun_until_there_is_more() {
    let arguments = vec!["--reserve-disk=2048".into()];
    let rig = Rig::start_with(RigOptions { disk: Some(16 << 30), arguments });
    let checkout = writers(&rig);
    // More than the control plane needs, and less than is kept for what runs.
    rig.disk().fill_but(1 << 30);
    checkout.replace("server.py", "served", "changed");
    checkout.commit("second");
    let pushed = checkout.push();
    assert_ne!(pushed.code, Some(0), "{pushed:?}");
    assert!(pushed.stderr.contains("the disk of the node is full: only"), "{pushed:?}");
    rig.flynn(&["scale", "sparse=1", "--app", "app", "--no-wait"]).expect("flynn scale");
    eventually("it is said why an instance is not started", SOON, || {
        let logs = rig.flynn(&["logs", "--app", "app", "--num", "1000"]);
        let reason = "sparse.1 cannot be started yet: the disk of its node is full: only";
        if logs.stdout.contains(reason) { Ok(()) } else { Err(logs) }
    });
    says(&rig, "app", "served");
    rig.disk().free();
    eventually("the instance starts by itself", SOON, || {
        let jobs = json(&rig, &["ps", "--app", "app"]);
        let is_up = jobs.as_array().into_iter().flatten().any(|job| job["name"] == "sparse.1" && job["state"] == "up");
        if is_up { Ok(()) } else { Err(jobs) }
    });
    checkout.push().expect("a push with room again");
    says(&rig, "app", "changed");
    rig.down();
}

#[test]
fn a_build_over_its_disk_limit_fails_and_says_so() {
    let rig = Rig::start_with(RigOptions { arguments: vec!["--build-disk=256".into()], ..RigOptions::default() });
    let checkout = rig.create("app");
    checkout.write("index.js", "require('http').createServer((_, r) => r.end('x')).listen(process.env.PORT)\n");
    // What npm runs writes beside what it installs, and to the scratch space.
    let fill = "for n in $(seq 80); do head -c 8388608 /dev/zero >> /tmp/file; sleep 0.05; done";
    checkout.write(
        "package.json",
        &serde_json::json!({
            "name": "x", "version": "1.0.0", "scripts": { "start": "node index.js", "build": fill }
        })
        .to_string(),
    );
    checkout.write(
        "package-lock.json",
        &serde_json::json!({
            "name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
            "packages": { "": { "name": "x", "version": "1.0.0" } }
        })
        .to_string(),
    );
    checkout.commit("fills");
    let pushed = checkout.push();
    assert_ne!(pushed.code, Some(0), "{pushed:?}");
    assert!(pushed.stderr.contains("disk limit of 256 MiB exceeded ("), "{pushed:?}");
    rig.down();
}
