//! The end of an instance, and of its control plane alone.

use std::time::{Duration, Instant};

use flynn_rig::{Rig, RigOptions, leaks};

use crate::apps::{plain, says};

#[test]
fn an_instance_that_is_taken_down_leaves_its_data_and_other_instances_alone() {
    let (mut rig, other) = (Rig::start(), Rig::start());
    assert_ne!(rig.names(), other.names());
    let checkout = rig.create("web");
    plain(&checkout, "stubborn");
    // An app that does not end when it is told to is taken down all the same.
    checkout.write("Procfile", "web: trap '' TERM; python3 server.py & while :; do sleep 1; done\n");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "web", "stubborn");
    let beside = other.holder("flynn-router");
    assert!(beside.is_some());
    assert!(!leaks::of(&rig.layout()).is_empty(), "what is looked for is there before");

    let begun = Instant::now();
    rig.take_down().expect("flynnd down");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(leaks::of(&rig.layout()), [""; 0]);
    assert!(rig.layout().store().exists());
    assert_eq!(other.holder("flynn-router"), beside, "another instance is not touched");

    rig.take_down().expect("flynnd down, with nothing to do");
    rig.start_flynnd();
    says(&rig, "web", "stubborn");
    rig.down();
    other.down();
}

#[test]
fn a_control_plane_that_is_stopped_leaves_the_others_running() {
    let mut rig = Rig::start();
    let checkout = rig.create("web");
    plain(&checkout, "hello");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "web", "hello");
    let others = ["flynn-router", "flynn-host"].map(|program| rig.holder(program));
    assert!(others.iter().all(Option::is_some), "{others:?}");

    let status = rig.stop_flynnd();
    assert!(status.success(), "it ends by itself: {status}");
    assert_eq!(rig.holder("flynnd"), None);
    assert_eq!(["flynn-router", "flynn-host"].map(|program| rig.holder(program)), others);
    assert_eq!(rig.page("web", "/").unwrap().status, 200);
    rig.tell_flynnd("stop").expect("flynnd stop, with nothing to do");
    rig.down();
}

#[test]
fn where_nothing_is_nothing_is_taken_down() {
    let rig = Rig::prepare(RigOptions::default());
    for command in ["down", "stop"] {
        rig.tell_flynnd(command).expect(command);
    }
    assert!(!rig.data().exists());
}
