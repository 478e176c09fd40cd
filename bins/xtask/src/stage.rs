//! Stages that run one after another and stop at the first that fails.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process::Failed;
use crate::tally::Tally;

/// A named part of a run. `work` adds the tests that it ran to the tally, also when it fails.
pub(crate) struct Stage<C> {
    pub(crate) name: &'static str,
    pub(crate) work: fn(&C, &mut Tally) -> Result<()>,
}

/// Runs `stages` in order, then prints their times and, as the last line, the tally.
pub(crate) fn run<C>(stages: &[Stage<C>], context: &C) -> ExitCode {
    let mut tally = Tally::default();
    let mut times = Vec::new();
    let mut failure = None;
    for stage in stages {
        println!("--- {}", stage.name);
        let start = Instant::now();
        let outcome = (stage.work)(context, &mut tally);
        times.push((stage.name, start.elapsed()));
        if let Err(error) = outcome {
            failure = Some((stage.name, error));
            break;
        }
    }
    print_times(&times);
    let code = match failure {
        None => ExitCode::SUCCESS,
        Some((name, error)) => {
            print_failure(name, &error);
            ExitCode::FAILURE
        }
    };
    println!("{tally}");
    code
}

fn print_times(times: &[(&str, Duration)]) {
    println!("--- times");
    for (name, time) in times {
        println!("{name:<10} {:>7.1} s", time.as_secs_f64());
    }
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    println!("{:<10} {:>7.1} s", "total", total.as_secs_f64());
}

fn print_failure(name: &str, error: &anyhow::Error) {
    let rerun = error.downcast_ref::<Failed>().map_or("cargo xtask test", |failed| failed.command.as_str());
    println!("stage `{name}` failed: {error:#}");
    println!("rerun it with: {rerun}");
}
