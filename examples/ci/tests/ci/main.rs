//! The example as a developer runs it: on a real repository, in real containers.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests: they read the clock, and say what happened"
)]

mod bench;

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use bench::Bench;
use rustix::process::{Pid, Signal, kill_process};

const TESTS: &str = "
import os, unittest

class Answer(unittest.TestCase):
    def test_it(self):
        self.assertEqual(open('answer').read().strip(), '42')
        self.assertNotEqual(os.getuid(), 0)
";

#[test]
fn tests_decide_with_their_own_exit_code() {
    let bench = Bench::new();
    bench.commit(&[("answer", "42"), ("test_answer.py", TESTS), ("Procfile", "web: true\n")]);
    let passed = bench.ci(&["python3", "-m", "unittest", "--verbose"]);
    assert_eq!(passed.code, Some(0), "{passed:#?}");
    assert!(passed.stdout.contains("-----> flynn/procfile builds it"), "{passed:#?}");
    assert!(passed.stderr.contains("test_it (test_answer.Answer"), "{passed:#?}");
    bench.leaves_nothing();

    bench.commit(&[("answer", "41")]);
    let failed = bench.ci(&["python3", "-m", "unittest"]);
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert!(failed.stderr.contains("'41' != '42'"), "{failed:#?}");
    let own = bench.ci(&["sh", "-c", "exit 23"]);
    assert_eq!(own.code, Some(23), "{own:#?}");
    assert!(own.stdout.contains("built before"), "{own:#?}");
    bench.leaves_nothing();
}

#[test]
fn a_signal_takes_everything_away() {
    let bench = Bench::new();
    bench.commit(&[("Procfile", "web: true\n")]);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut child = bench.start(&["sh", "-c", "echo waiting; sleep 600"]);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim() != "waiting" {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "it ended before its tests began");
        }
        let begun = Instant::now();
        kill_process(Pid::from_child(&child), signal).unwrap();
        output.read_to_string(&mut line).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        bench.leaves_nothing();
    }
}

#[test]
fn what_a_killed_run_left_is_taken_away_by_the_next() {
    let bench = Bench::new();
    bench.commit(&[("Procfile", "web: true\n")]);
    let mut child = bench.start(&["sh", "-c", "echo waiting; sleep 600"]);
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap() == "waiting"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!bench.left().is_empty());
    let next = bench.ci(&["true"]);
    assert_eq!(next.code, Some(0), "{next:#?}");
    bench.leaves_nothing();
}

#[test]
fn what_cannot_be_built_says_why() {
    let bench = Bench::new();
    let nothing = bench.ci(&["true"]);
    assert_eq!(nothing.code, Some(1), "{nothing:#?}");
    assert!(nothing.stderr.contains("has no commit to build"), "{nothing:#?}");
    bench.commit(&[("notes.txt", "no app")]);
    let unknown = bench.ci(&["true"]);
    assert_eq!(unknown.code, Some(1), "{unknown:#?}");
    assert!(unknown.stderr.contains("Procfile"), "{unknown:#?}");
    bench.leaves_nothing();
}
