//! The machine goes down and comes up again, and nobody is there.
#![allow(clippy::disallowed_methods, reason = "it measures in real time")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use flynn_rig::{Rig, eventually};

use crate::apps::{json, plain, says};

/// Within this time of the start of the services everything is as it was.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn after_a_reboot_everything_is_up_again() {
    let mut rig = Rig::start();
    let pair = rig.create("pair");
    plain(&pair, "first");
    pair.commit("server");
    pair.push().expect("the push of the pair");
    rig.flynn(&["config:set", "NAME=kept", "--app", "pair"]).expect("flynn config:set");
    rig.flynn(&["domains:add", "www.pair.example", "--app", "pair"]).expect("flynn domains:add");
    rig.flynn(&["scale", "web=2", "count=1", "--app", "pair"]).expect("flynn scale");
    let changing = rig.create("changing");
    plain(&changing, "old");
    changing.commit("server");
    changing.push().expect("the push of the app that changes");
    eventually("the worker says something", Duration::from_secs(20), || {
        let log = rig.flynn(&["logs", "--app", "pair", "-p", "count", "-n", "10000"]).stdout;
        if log.contains("line 1\n") { Ok(()) } else { Err(log) }
    });

    // One push is in the middle of its deployment when the power goes.
    changing.replace("server.py", "server = ", "time.sleep(20)\nserver = ");
    changing.replace("server.py", "old", "new");
    changing.commit("slow to start");
    let mut push = changing.command("git").args(["push", "flynn", "main"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(push.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Starting web.1 (v2)") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the push ended early");
    }
    for _ in 0..2 {
        rig.cut_power();
        let begun = Instant::now();
        rig.start_flynnd();
        is_up(&rig, begun);
    }
    push.wait().unwrap();

    let log = rig.flynn(&["logs", "--app", "pair", "-p", "count", "-n", "10000"]);
    assert!(log.expect("flynn logs").contains("line 1\n"), "{log:?}");
    let all = json(&rig, &["ps", "--all", "--app", "pair"]).to_string();
    assert!(all.contains("the machine was restarted"), "{all}");
    // Nobody pushed again.
    answers(&rig, "changing", &["new"], Duration::from_secs(90));
    changing.replace("server.py", "time.sleep(20)\n", "");
    changing.replace("server.py", "new", "newest");
    changing.commit("quick to start");
    changing.push().expect("the push after all that");
    says(&rig, "changing", "newest");
    rig.down();
}

fn answers(rig: &Rig, app: &str, texts: &[&str], limit: Duration) {
    eventually(&format!("{app} says one of {texts:?}"), limit, || match rig.page(app, "/") {
        Ok(answer) if answer.status == 200 && texts.iter().any(|text| answer.body.contains(text)) => Ok(()),
        other => Err(other),
    });
}

/// Waits until everything is up as it was before, which is soon after `begun`.
fn is_up(rig: &Rig, begun: Instant) {
    let patience = || LIMIT.saturating_sub(begun.elapsed());
    let mut instances = BTreeSet::new();
    eventually("both instances answer, with their configuration", patience(), || match rig.page("pair", "/") {
        Ok(answer) if answer.status == 200 => {
            instances.insert(answer.body);
            let both = ["first web.1 kept\n", "first web.2 kept\n"];
            if instances.iter().eq(both.iter()) { Ok(()) } else { Err(format!("{instances:?}")) }
        }
        // Until then the router says so, and nobody whom the addresses of the boot before may lead to.
        Ok(answer) if !answer.body.starts_with("App not available") => panic!("{answer:?}"),
        other => Err(format!("{other:?}")),
    });
    // Which of the two it is depends on how far its deployment has come.
    answers(rig, "changing", &["old", "new"], patience());
    eventually("the domain leads to its app", patience(), || {
        match flynn_rig::get(rig.router(), "www.pair.example", "/") {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(other),
        }
    });
    eventually("all are listed as up", patience(), || {
        let listed = rig.flynn(&["ps", "--app", "pair", "--json"]).stdout;
        let up = |name: &str| {
            let jobs: serde_json::Value = serde_json::from_str(&listed).unwrap_or_default();
            let jobs = jobs.as_array().cloned().unwrap_or_default();
            jobs.iter().filter(|job| job["name"] == name && job["state"] == "up").count() == 1
        };
        if ["web.1", "web.2", "count.1"].into_iter().all(up) { Ok(()) } else { Err(listed) }
    });
}
