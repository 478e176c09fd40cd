//! The data disk is full: everybody is told, what runs goes on, and all comes back by itself.

use std::time::Duration;

use flynn_rig::{Rig, RigOptions, eventually, get};

use crate::apps::{json, plain, says};

const SOON: Duration = Duration::from_secs(20);

/// Waits until the control plane says that it is not ready, and why.
fn is_not_ready(rig: &Rig) {
    eventually("the full disk is noticed", SOON, || match get(rig.api(), "localhost", "/readyz") {
        Ok(answer) if answer.status == 503 && answer.body.contains("data disk") => {
            assert!(answer.body.contains("disk_full") && answer.body.contains("make room"), "{answer:?}");
            Ok(())
        }
        other => Err(other),
    });
}

/// What holds on a full disk, however often the platform is started.
fn is_served_and_read_only(rig: &Rig, text: &str) {
    is_not_ready(rig);
    says(rig, "app", text);
    let created = rig.flynn(&["create", "other", "--no-remote"]);
    assert!(created.expect_failure(1, "flynn create").contains("the data disk is full"), "{created:?}");
    let set = rig.flynn(&["config:set", "NAME=value", "--app", "app"]);
    assert!(set.expect_failure(1, "flynn config:set").contains("the data disk is full"), "{set:?}");
    // What is there is still shown.
    let apps = json(rig, &["apps"]).to_string();
    assert!(apps.contains("\"app\"") && !apps.contains("other"), "{apps}");
    assert_eq!(json(rig, &["releases", "--app", "app"]).to_string().matches("\"number\":").count(), 1);
}

#[test]
fn a_full_disk_is_said_and_survived_and_recovered_from() {
    let mut rig = Rig::start_with(RigOptions { disk: Some(16 << 30), ..RigOptions::default() });
    let checkout = rig.create("app");
    plain(&checkout, "with room");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "app", "with room");

    // What is being made in the background would give its room back when it fails.
    rig.wait_for_bases();
    rig.disk().fill();
    is_served_and_read_only(&rig, "with room");
    checkout.replace("server.py", "with room", "changed");
    checkout.commit("second");
    let pushed = checkout.push();
    assert_ne!(pushed.code, Some(0), "{pushed:?}");
    assert!(pushed.stderr.contains("the data disk is full"), "{pushed:?}");

    // Stopping frees a little, which others take before the next start.
    rig.stop_flynnd();
    rig.disk().fill();
    assert_eq!(rig.page("app", "/").unwrap().status, 200);
    rig.start_flynnd_until("/healthz");
    is_served_and_read_only(&rig, "with room");
    // Nothing is held back any more; now it is killed.
    rig.disk().fill();
    rig.kill_flynnd();
    rig.start_flynnd_until("/healthz");
    for program in ["flynn-host", "flynn-router"] {
        let first = eventually("its process is known", SOON, || rig.holder(program).ok_or("nobody holds its place"));
        first.identity.kill().unwrap();
        eventually(&format!("{program} is started again"), SOON, || match rig.holder(program) {
            Some(second) if second != first => Ok(()),
            _ => Err("the same process, or none"),
        });
    }
    is_served_and_read_only(&rig, "with room");

    rig.disk().free();
    eventually("it is ready again by itself", SOON, || match get(rig.api(), "localhost", "/readyz") {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(other),
    });
    rig.flynn(&["create", "other", "--no-remote"]).expect("flynn create");
    eventually("a push works again", Duration::from_secs(60), || {
        let pushed = checkout.push();
        if pushed.code == Some(0) { Ok(()) } else { Err(pushed.stderr) }
    });
    says(&rig, "app", "changed");
    rig.down();
}
