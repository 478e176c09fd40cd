//! Apps that misbehave: each ends as its developer would want, says why, and disturbs nobody.
#![allow(clippy::disallowed_methods, reason = "it measures in real time")]

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use flynn_rig::{Checkout, Rig, eventually};
use serde_json::Value;

use crate::apps::{json, plain, says};
use crate::neighbour::{Ending, Neighbour};

const SOON: Duration = Duration::from_secs(40);

/// Forks until it cannot, and stays. Each child does the same.
const FORKS: &str = "
import os, time
print('forking', flush=True)
while True:
    try:
        os.fork()
    except OSError as error:
        print('no more processes:', error.strerror, flush=True)
        time.sleep(1)
";
const EATS: &str = "
import time
print('eating', flush=True)
eaten = []
while True:
    eaten.append(b'x' * (4 << 20))
";
const FLOODS: &str = "
import sys
lines = ('water ' * 15 + '\\n') * 100
while True:
    sys.stdout.write(lines)
";
const STAYS: &str = "
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('staying', flush=True)
while True:
    time.sleep(1)
";
/// What a runtime does that wants to clean up and then end as if it had no handler, such as that of Node.js.
const RAISES: &str = "
import os, signal, time
def handle(number, frame):
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
signal.signal(signal.SIGTERM, handle)
print('raising', flush=True)
while True:
    time.sleep(1)
";

/// The processes of a type, those that ended among them, the newest first.
fn jobs(rig: &Rig, app: &str, process: &str) -> Vec<Value> {
    let all = json(rig, &["ps", "--all", "--app", app]);
    let mut own: Vec<_> = all.as_array().unwrap().iter().filter(|job| job["process"] == process).cloned().collect();
    own.sort_by_key(|job| std::cmp::Reverse(job["created_at"].as_str().map(str::to_owned)));
    own
}

fn logged(rig: &Rig, process: &str, text: &str) {
    eventually(&format!("the log of {process} says {text:?}"), SOON, || {
        let log = rig.flynn(&["logs", "--app", "hog", "-p", process, "-n", "1000"]);
        if log.stdout.contains(text) { Ok(()) } else { Err(log.stdout.chars().take(2_000).collect::<String>()) }
    });
}

fn stop(rig: &Rig, process: &str) -> Duration {
    let begun = Instant::now();
    rig.flynn(&["scale", &format!("{process}=0"), "--app", "hog", "--no-wait"]).expect("flynn scale");
    eventually(&format!("{process} has ended"), SOON, || {
        let listed = rig.flynn(&["ps", "--app", "hog"]).expect("flynn ps").to_owned();
        if listed.contains(&format!("{process}.1")) { Err(listed) } else { Ok(()) }
    });
    begun.elapsed()
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

#[test]
fn processes_that_fork_eat_flood_and_stay_disturb_nobody() {
    let rig = Rig::start();
    let neighbour = rig.create("neighbour");
    plain(&neighbour, "undisturbed");
    neighbour.commit("server");
    neighbour.push().expect("the push of the neighbour");
    let hog = rig.create("hog");
    plain(&hog, "in the same app");
    let mut procfile = String::from("web: python3 server.py\n");
    for (name, script) in [("forks", FORKS), ("eats", EATS), ("floods", FLOODS), ("stays", STAYS), ("raises", RAISES)] {
        hog.write(&format!("{name}.py"), script);
        procfile += &format!("{name}: python3 -S {name}.py\n");
    }
    // What it starts stays until it cannot start more.
    hog.write("bomb.sh", "while :; do sleep 1000 & done\n");
    hog.write("Procfile", &format!("{procfile}bomb: sh bomb.sh\n"));
    hog.commit("hog");
    hog.push().expect("the push of the hog");
    rig.flynn(&["limits:set", "forks", "pids=100", "memory=512M", "--app", "hog"]).expect("flynn limits:set");
    rig.flynn(&["limits:set", "eats", "memory=128M", "--app", "hog"]).expect("flynn limits:set");
    let scale = |what: &str| rig.flynn(&["scale", what, "--app", "hog", "--no-wait"]).expect("flynn scale").to_owned();

    let (over, others) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let _ending = (Ending(&over), Ending(&others));
        let asked = Neighbour::ask(scope, &rig, "neighbour", &over);
        let same_app = Neighbour::ask(scope, &rig, "hog", &others);
        scale("stays=1");
        scale("raises=1");
        logged(&rig, "stays", "staying");
        logged(&rig, "raises", "raising");
        let staying = scope.spawn(|| stop(&rig, "stays"));
        let raising = stop(&rig, "raises");
        assert!(raising < Duration::from_secs(15), "it took {raising:?} to end");

        // It has as many processes as it may, keeps them, says so, and ends when told to.
        scale("forks=1");
        logged(&rig, "forks", "no more processes: Resource temporarily unavailable");
        assert_eq!(jobs(&rig, "hog", "forks")[0]["state"], "up");
        let forking = stop(&rig, "forks");
        assert!(forking < Duration::from_secs(20), "it took {forking:?} to end");

        // A shell that cannot fork ends, with all that it has started.
        scale("bomb=1");
        logged(&rig, "bomb", "fork");
        eventually("its end is known", SOON, || {
            let all = jobs(&rig, "hog", "bomb");
            if all.iter().any(|job| job["exit_code"] == 2) { Ok(()) } else { Err(all) }
        });
        stop(&rig, "bomb");

        scale("eats=1");
        logged(&rig, "eats", "the kernel killed it: its memory limit was reached");
        eventually("its end and its reason are known", SOON, || {
            let all = jobs(&rig, "hog", "eats");
            let told = |job: &Value| job["reason"].as_str().is_some_and(|reason| reason.contains("memory"));
            if all.iter().any(told) { Ok(()) } else { Err(all) }
        });
        // It is tried again, ever more rarely.
        eventually("it was tried again", SOON, || {
            let all = jobs(&rig, "hog", "eats");
            if all.iter().any(|job| job["attempt"].as_u64() >= Some(2)) { Ok(()) } else { Err(all) }
        });
        stop(&rig, "eats");

        let containers = rig.layout().node().join("containers");
        scale("floods=1");
        eventually("it has written more than it may at once", SOON, || {
            let is_full = |entry: std::fs::DirEntry| entry.path().join("log.3").exists();
            let mut logs = std::fs::read_dir(containers.join("jobs")).unwrap().flatten();
            if logs.any(is_full) { Ok(()) } else { Err("no log was put aside three times") }
        });
        let begun = Instant::now();
        rig.flynn(&["logs", "--app", "neighbour"]).expect("flynn logs of the neighbour");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        stop(&rig, "floods");
        // It is said every ten seconds, between a hundred thousand lines, and at the end.
        logged(&rig, "floods", "lines were dropped: they came too fast");
        let (kept, logs) = (bytes_below(&containers), bytes_below(&rig.layout().node().join("logs")));
        assert!(kept + logs < 150 << 20, "{kept} and {logs} bytes");

        // What does not end when asked to is killed after its stop time, and the log says so.
        let took = staying.join().unwrap();
        assert!((29..45).contains(&took.as_secs()), "{took:?}");
        assert_eq!(jobs(&rig, "hog", "stays")[0]["exit_code"], 137);
        logged(&rig, "stays", "it did not end when it was asked to, and was killed");
        asked.was_served();
        same_app.was_served();
    });
    rig.down();
}

/// A new release of an app whose first one serves.
fn second(rig: &Rig, app: &str, first: fn(&Checkout), fill: impl FnOnce(&Checkout)) -> Checkout {
    let checkout = rig.create(app);
    first(&checkout);
    checkout.commit("first");
    checkout.push().expect("the first push");
    says(rig, app, "first");
    fill(&checkout);
    checkout.commit("second");
    checkout
}

fn good(checkout: &Checkout) {
    plain(checkout, "first");
}

fn deaf(checkout: &Checkout) {
    good(checkout);
    checkout.replace("server.py", "lambda *_: os._exit(0)", "signal.SIG_IGN");
}

#[test]
fn a_release_that_cannot_serve_is_taken_back_and_says_why() {
    let rig = Rig::start();
    let procfile = |checkout: &Checkout, line: &str| checkout.write("Procfile", &format!("web: {line}\n"));
    let silent = second(&rig, "silent", good, |checkout| procfile(checkout, "sleep 1000"));
    let greedy = second(&rig, "greedy", good, |checkout| {
        checkout.write("eats.py", EATS);
        procfile(checkout, "python3 eats.py");
    });
    let missing = second(&rig, "missing", good, |checkout| procfile(checkout, "no-such-program --flag"));
    let broken = second(&rig, "broken", good, |checkout| {
        checkout.write("server.py", "import sys; print('I cannot go on', flush=True); sys.exit(9)\n");
    });
    let deaf = second(&rig, "deaf", deaf, good_again);
    let overs: [AtomicBool; 5] = Default::default();
    let refused = [
        ("silent", silent, "web.1 was not healthy within 60 s of its start"),
        ("greedy", greedy, "web.1 ran out of memory"),
        ("missing", missing, "web.1 exited with code 127"),
        ("broken", broken, "web.1 exited with code 9"),
    ];
    thread::scope(|scope| {
        let _endings: Vec<_> = overs.iter().map(Ending).collect();
        let deaf_asked = Neighbour::ask(scope, &rig, "deaf", &overs[4]);
        let rig = &rig;
        let watched: Vec<_> = refused
            .iter()
            .zip(&overs)
            .map(|((app, checkout, reason), over)| {
                let asked = Neighbour::ask(scope, rig, app, over);
                let pushing = scope.spawn(move || {
                    let pushed = checkout.push();
                    let said = pushed.expect_failure(1, app);
                    assert!(said.contains(&format!("v2 was not deployed: {reason}")), "{said}");
                    assert!(said.contains("[remote rejected]") && !said.contains("hook declined"), "{said}");
                });
                (app, reason, asked, pushing)
            })
            .collect();

        // The old instance is killed in the end, and the new one serves from the beginning.
        deaf.push().expect("the push beside an instance that does not end");
        says(rig, "deaf", "second");
        eventually("the old instance has ended", SOON, || {
            let all = jobs(rig, "deaf", "web");
            if all.iter().any(|job| job["release"] == 1 && job["exit_code"] == 137) { Ok(()) } else { Err(all) }
        });
        deaf_asked.was_served();

        for (app, reason, asked, pushing) in watched {
            pushing.join().unwrap();
            asked.was_served();
            says(rig, app, "first");
            let deployments = rig.flynn(&["deployments", "--app", app]).expect("flynn deployments").to_owned();
            assert!(deployments.contains(reason), "{deployments}");
            let info = json(rig, &["info", "--app", app]);
            assert_eq!(info["release"], 1, "{info}");
        }
        let log = rig.flynn(&["logs", "--app", "broken", "-n", "10000"]).stdout;
        assert!(log.contains("I cannot go on"), "{log}");
        let log = rig.flynn(&["logs", "--app", "missing", "-n", "10000"]).stdout;
        assert!(log.contains("no-such-program"), "{log}");
    });
    rig.down();
}

fn good_again(checkout: &Checkout) {
    plain(checkout, "second");
}
