//! How long it takes until more instances answer, and until a program has run.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use flynn_rig::{Rig, eventually};
use serde_json::Value;

use crate::median::median;
use crate::pushes::sample;

const LIMIT: Duration = Duration::from_secs(60);

fn with_site() -> Rig {
    let rig = Rig::start();
    let checkout = rig.create("site");
    checkout.copy(&sample("static-site"));
    checkout.commit("pages");
    checkout.push().expect("the first push");
    rig
}

/// From `flynn scale` to the router having had an answer from all ten. The instances of a static site answer alike,
/// so the router's access log says which they were.
pub(crate) fn one_to_ten(rounds: usize) -> Value {
    let rig = with_site();
    let scale = |count: usize| {
        rig.flynn(&["scale", &format!("web={count}"), "--app", "site"]).expect("flynn scale");
    };
    let times = (0..rounds).map(|_| {
        let log = rig.access_log();
        let begin = fs::metadata(&log).map_or(0, |found| found.len()) as usize;
        let start = Instant::now();
        let time = std::thread::scope(|scope| {
            let scaling = scope.spawn(|| scale(10));
            eventually("ten have answered", LIMIT, || {
                for _ in 0..20 {
                    rig.page("site", "/").map_err(|error| error.to_string())?;
                }
                let text = fs::read_to_string(&log).unwrap_or_default();
                let seen = answered(text.get(begin..).unwrap_or_default());
                if seen.len() >= 10 { Ok(()) } else { Err(format!("{} have answered", seen.len())) }
            });
            let time = start.elapsed().as_secs_f64();
            scaling.join().unwrap();
            time
        });
        scale(1);
        eventually("one is left", LIMIT, || {
            let listed = rig.flynn(&["ps", "--app", "site", "--json"]).stdout;
            if listed.matches("\"web.").count() == 1 { Ok(()) } else { Err(listed) }
        });
        time
    });
    let times = times.collect();
    rig.down();
    median(times)
}

/// The jobs that answered with success, by the lines of an access log.
fn answered(log: &str) -> BTreeSet<&str> {
    let good = log.lines().filter(|line| line.contains(" status=200 "));
    good.filter_map(|line| line.split(' ').find_map(|field| field.strip_prefix("job="))).collect()
}

/// `flynn run true`, from its start to its end, in milliseconds.
pub(crate) fn run_true(rounds: usize) -> Value {
    let rig = with_site();
    let times = (0..rounds).map(|_| {
        let start = Instant::now();
        rig.flynn(&["run", "--app", "site", "--", "true"]).expect("flynn run true");
        start.elapsed().as_secs_f64() * 1_000.0
    });
    let times = times.collect();
    rig.down();
    median(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_count() {
        let log = "at=info path=/ job=a status=200 x\nat=info job=b status=503 x\nat=info job=a status=200 x\n";
        assert_eq!(answered(log), BTreeSet::from(["a"]));
    }
}
