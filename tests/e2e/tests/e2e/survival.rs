//! Processes of the platform die, and apps go on.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flynn_rig::leaks::{self, Live};
use flynn_rig::{Rig, eventually, program};
use serde_json::Value;

use crate::apps::{json, plain, says};

#[test]
fn control_plane_agent_and_router_are_killed_and_the_app_goes_on() {
    let mut rig = Rig::start();
    let checkout = rig.create("app");
    plain(&checkout, "alive");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "app", "alive");
    let router = rig.holder("flynn-router").unwrap();

    rig.kill_flynnd();
    for _ in 0..20 {
        let answer = rig.page("app", "/").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    rig.start_flynnd();
    assert_eq!(rig.page("app", "/").unwrap().status, 200);
    eventually("the router is found", Duration::from_secs(20), || match rig.log() {
        log if log.contains("flynn-router runs already") => Ok(()),
        log => Err(log),
    });
    assert_eq!(rig.holder("flynn-router").unwrap(), router, "the same process");
    // One more of them could not have the port, and would say so.
    let log = std::fs::read_to_string(rig.layout().log().join("flynn-router.log")).unwrap();
    assert_eq!(log.matches("serving").count(), 1, "{log}");

    // A process that an earlier control plane started is watched as well.
    for program in ["flynn-host", "flynn-router"] {
        let first = rig.holder(program).unwrap();
        first.identity.kill().unwrap();
        let killed = Instant::now();
        if program == "flynn-host" {
            assert_eq!(rig.page("app", "/").unwrap().status, 200);
        }
        eventually(&format!("{program} is started again"), Duration::from_secs(20), || match rig.holder(program) {
            Some(second) if second != first => Ok(()),
            other => Err(other.map(Box::new)),
        });
        says(&rig, "app", "alive");
        assert!(killed.elapsed() < Duration::from_secs(10), "{program} was away for {:?}", killed.elapsed());
    }
    checkout.replace("server.py", "alive", "as before");
    checkout.commit("second");
    eventually("a push works after all that", Duration::from_secs(60), || {
        let pushed = checkout.push();
        if pushed.code == Some(0) { Ok(()) } else { Err(pushed.stderr) }
    });
    says(&rig, "app", "as before");
    rig.down();
}

#[test]
fn a_router_without_a_control_plane_serves_from_its_file() {
    let mut rig = Rig::start();
    let checkout = rig.create("app");
    plain(&checkout, "from a file");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "app", "from a file");
    eventually("the table is on disk", Duration::from_secs(20), || {
        let table = std::fs::read_to_string(rig.layout().router().join("table.json")).map_err(|e| e.to_string())?;
        if table.contains("app.localhost") { Ok(()) } else { Err(table) }
    });
    let router = rig.holder("flynn-router").unwrap();
    rig.stop_flynnd();
    assert_eq!(rig.holder("flynn-router").as_ref(), Some(&router));
    assert_eq!(rig.page("app", "/").unwrap().status, 200);

    // With neither store nor process before it, a router has the file alone.
    router.identity.terminate().unwrap();
    eventually("the router ends", Duration::from_secs(40), || match router.identity.is_alive().unwrap() {
        false => Ok(()),
        true => Err("it runs"),
    });
    let mut alone = Command::new(program("flynn-router"))
        .args(&router.arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    says(&rig, "app", "from a file");
    assert!(!rig.layout().socket().exists());
    alone.kill().unwrap();
    alone.wait().unwrap();
    rig.down();
}

#[test]
fn a_killed_supervisor_costs_the_instance_and_it_is_replaced() {
    let rig = Rig::start();
    let checkout = rig.create("app");
    plain(&checkout, "one of them");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "app", "one of them");
    let shims = || -> Vec<u32> {
        let all = leaks::processes_of(&rig.data()).into_iter();
        all.filter(|process| process.line.starts_with("flynn-shim")).map(|process| process.pid).collect()
    };
    let before = shims();
    assert_eq!(before.len(), 1, "{before:?}");
    assert!(Command::new("kill").args(["-9", &before[0].to_string()]).status().unwrap().success());
    eventually("another supervisor", Duration::from_secs(30), || {
        let after = shims();
        if after.len() == 1 && after != before { Ok(()) } else { Err(after) }
    });
    says(&rig, "app", "one of them");
    let ended = json(&rig, &["ps", "--app", "app", "--all"]);
    let is_lost = |job: &Value| job["state"] == "lost" && job["reason"].is_string();
    assert_eq!(ended.as_array().unwrap().iter().filter(|job| is_lost(job)).count(), 1, "{ended}");
    rig.wait_for_bases();
    eventually("nothing is left of it", Duration::from_secs(30), || {
        let jobs = json(&rig, &["ps", "--app", "app"]);
        let ids: Vec<_> = jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
        match leaks::beside(&rig.layout(), &Live::of(&rig.layout(), ids)) {
            found if found.is_empty() => Ok(()),
            found => Err(found),
        }
    });
    rig.down();
}

#[test]
fn open_streams_do_not_delay_the_end_of_the_control_plane() {
    let mut rig = Rig::start();
    let checkout = rig.create("app");
    plain(&checkout, "followed");
    checkout.commit("server");
    checkout.git(&["push", "flynn", "HEAD:refs/heads/master"]).expect("the push to master");
    let mut follower = checkout.command(program("flynn"));
    let mut follower = follower.args(["logs", "--app", "app", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("serving followed")), "the log ended");
    // Whatever the agent has to upload is a request as well, and may take its time.
    rig.wait_for_bases();
    let began = Instant::now();
    rig.stop_flynnd();
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    let _ = follower.kill();
    follower.wait().unwrap();

    // What was pushed is at the branch that it was pushed to, also after a start without it.
    let repository = std::fs::read_dir(rig.layout().repositories()).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(repository.join("refs/heads/master")).unwrap();
    rig.start_flynnd();
    let refs = checkout.git(&["ls-remote", "--refs", "flynn"]);
    let head = checkout.git(&["rev-parse", "HEAD"]).stdout.trim().to_owned();
    assert_eq!(refs.expect("git ls-remote").trim(), format!("{head}\trefs/heads/master"));
    rig.down();
}
