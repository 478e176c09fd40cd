//! Instances, one-off runs and what they say.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use flynn_rig::{Rig, eventually, program};

use crate::apps::{json, plain, says};

#[test]
fn an_app_is_scaled_and_every_instance_is_reached() {
    let rig = Rig::start();
    let checkout = rig.create("many");
    plain(&checkout, "hello from");
    checkout.commit("server");
    checkout.push().expect("the push");
    rig.flynn(&["scale", "web=3", "--app", "many"]).expect("flynn scale");
    let reached = |count: usize| {
        let mut seen = BTreeSet::new();
        eventually("every instance has answered", Duration::from_secs(30), || {
            seen.insert(rig.page("many", "/").unwrap().body);
            if seen.len() == count { Ok(()) } else { Err(seen.clone()) }
        });
    };
    reached(3);
    let listed = rig.flynn(&["ps", "--app", "many"]);
    let listed = listed.expect("flynn ps").to_owned();
    for instance in ["web.1", "web.2", "web.3"] {
        assert!(listed.contains(instance), "{listed}");
    }
    let refused = rig.flynn(&["scale", "wbe=1", "--app", "many"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("web"), "{refused:?}");

    rig.flynn(&["scale", "web=1", "--app", "many"]).expect("flynn scale");
    eventually("two have ended", Duration::from_secs(30), || {
        let listed = json(&rig, &["ps", "--app", "many"]).to_string();
        if listed.contains("web.2") || listed.contains("web.3") { Err(listed) } else { Ok(()) }
    });
    says(&rig, "many", "hello from web.1");
    rig.down();
}

#[test]
fn a_program_runs_beside_the_app_and_its_exit_code_comes_back() {
    let rig = Rig::start();
    let checkout = rig.create("tools");
    plain(&checkout, "here");
    checkout.commit("server");
    checkout.push().expect("the push");
    let run = |words: &[&str]| rig.flynn(&[&["run", "--app", "tools", "--"], words].concat());
    run(&["true"]).expect("true");
    assert_eq!(run(&["sh", "-c", "echo out; echo err >&2; exit 7"]).code, Some(7));
    let told = run(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((told.stdout.as_str(), told.stderr.contains("err")), ("out\n", true), "{told:?}");
    assert_eq!(run(&["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).code, Some(137));
    let missing = run(&["no-such-program"]);
    assert!(missing.code == Some(127) && missing.stderr.contains("no-such-program"), "{missing:?}");
    let unrunnable = run(&["/etc/passwd"]);
    assert!(unrunnable.code == Some(126) && unrunnable.stderr.contains("/etc/passwd"), "{unrunnable:?}");
    let user = run(&["id", "-u"]);
    assert_eq!(user.expect("id"), "1000\n");

    let mut piped = std::process::Command::new(program("flynn"))
        .args(["run", "--app", "tools", "--", "wc", "-c"])
        .env("HOME", rig.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(&[b'x'; 300_000]).unwrap();
    let output = piped.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "300000");

    let inside = rig.flynn(&["exec", "--app", "tools", "web.1", "--", "sh", "-c", "echo $FLYNN_PROCESS; exit 3"]);
    assert_eq!((inside.code, inside.stdout.as_str()), (Some(3), "web.1\n"), "{inside:?}");
    rig.down();
}

#[test]
fn the_log_of_an_app_is_read_live_and_after_its_end() {
    let rig = Rig::start();
    let checkout = rig.create("talk");
    plain(&checkout, "talking");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "talk", "talking");
    eventually("the request is in the log", Duration::from_secs(10), || {
        let log = rig.flynn(&["logs", "--app", "talk"]).stdout;
        if log.contains("web.1") && log.contains("asked for /") { Ok(()) } else { Err(log) }
    });
    rig.flynn(&["scale", "count=1", "--app", "talk"]).expect("flynn scale");
    eventually("lines are counted", Duration::from_secs(20), || {
        let log = rig.flynn(&["logs", "--app", "talk", "-p", "count", "-n", "5"]).stdout;
        if log.lines().count() == 5 && log.contains("line 1") { Ok(()) } else { Err(log) }
    });
    rig.flynn(&["scale", "count=0", "--app", "talk"]).expect("flynn scale");
    eventually("what an ended instance said is there", Duration::from_secs(40), || {
        let running = json(&rig, &["ps", "--app", "talk"]).to_string().contains("count.1");
        let log = rig.flynn(&["logs", "--app", "talk", "-p", "count", "-n", "1000"]).stdout;
        if !running && log.contains("line 1\n") { Ok(()) } else { Err(log) }
    });
    rig.down();
}
