//! How long a developer waits for a push.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flynn_rig::{Checkout, Rig, eventually};
use serde_json::Value;

use crate::median::median;

const LIMIT: Duration = Duration::from_secs(120);

/// Six dependencies by name, one of them with compiled code, and what they need in turn.
const SIX: &str = "flask==3.1.3\ngunicorn==27.0.1\nnumpy==2.4.6\nrequests==2.34.2\nhumanize==4.17.0\npyyaml==6.0.3\n";

pub(crate) fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/apps").join(name)
}

/// A platform with the Python sample on it.
fn with_sample() -> (Rig, Checkout) {
    let rig = Rig::start();
    let checkout = rig.create("hello");
    checkout.copy(&sample("python-web"));
    checkout.commit("first");
    checkout.push().expect("the first push");
    (rig, checkout)
}

/// A commit with the tree of the one before: from the start of the push to its end.
pub(crate) fn same_tree(rounds: usize) -> Value {
    let (rig, checkout) = with_sample();
    let times = (0..rounds).map(|round| {
        checkout.commit(&format!("same tree {round}"));
        let start = Instant::now();
        checkout.push().expect("a push of the same tree");
        start.elapsed().as_secs_f64()
    });
    let times = times.collect();
    rig.down();
    median(times)
}

/// A commit with one line changed: from the start of the push to the first answer of the next code.
pub(crate) fn small_change(rounds: usize) -> Value {
    let (rig, checkout) = with_sample();
    let mut greeting = "Hello".to_owned();
    let times = (0..rounds).map(|round| {
        let next = format!("Hello{round}");
        checkout.replace("app.py", &format!("{greeting} from Flynn"), &format!("{next} from Flynn"));
        greeting = next;
        checkout.commit(&greeting);
        let expected = format!("{greeting} from Flynn");
        let start = Instant::now();
        std::thread::scope(|scope| {
            let push = scope.spawn(|| checkout.push());
            eventually("the next code answers", LIMIT, || match rig.page("hello", "/") {
                Ok(answer) if answer.body.starts_with(&expected) => Ok(()),
                other => Err(other),
            });
            let answered = start.elapsed().as_secs_f64();
            push.join().unwrap().expect("a push of a small change");
            answered
        })
    });
    let times = times.collect();
    rig.down();
    median(times)
}

/// The first push of an app with dependencies, to a platform that has base images and nothing else.
pub(crate) fn cold_python(rounds: usize) -> Value {
    let times = (0..rounds).map(|_| {
        let rig = Rig::start();
        rig.wait_for_bases();
        let checkout = rig.create("cold");
        checkout.copy(&sample("python-web"));
        checkout.write("requirements.txt", SIX);
        checkout.commit("first");
        let start = Instant::now();
        checkout.push().expect("a cold push");
        let time = start.elapsed().as_secs_f64();
        rig.down();
        time
    });
    median(times.collect())
}
