//! Measures a platform that it starts for itself, with the programs beside it.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for developers: it reads the clock and stops at what it did not expect"
)]

mod deploys;
mod idle;
mod load;
mod median;
mod pushes;
mod scale;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use serde_json::{Map, Value};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// What is measured
    #[arg(value_enum)]
    what: What,
    /// Print one JSON object and nothing else on standard output
    #[arg(long)]
    json: bool,
    /// How many rounds each median is of
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Only the keys that have this in their names
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// From a push to an answer: the platform as its users see it
    E2e,
}

/// One measurement: its key, and how it is taken.
type Measure = (&'static str, fn(usize) -> Value);

const E2E: &[Measure] = &[
    ("push_same_tree_s", pushes::same_tree),
    ("push_small_change_s", pushes::small_change),
    ("push_cold_python_s", pushes::cold_python),
    ("scale_1_to_10_s", scale::one_to_ten),
    ("run_true_ms", scale::run_true),
    ("idle_pss_mb", idle::pss),
    ("deploy_failed_requests", deploys::failed_requests),
];

fn main() -> ExitCode {
    let Arguments { what, json, rounds, only } = Arguments::parse();
    let measures = match what {
        What::E2e => E2E,
    };
    let mut results = Map::new();
    for (key, measure) in measures.iter().filter(|(key, _)| key.contains(&only)) {
        eprintln!("--- {key}");
        let value = measure(rounds);
        if !json {
            println!("{key:<26} {value}");
        }
        results.insert((*key).to_owned(), value);
    }
    if json {
        println!("{}", Value::Object(results));
    }
    ExitCode::SUCCESS
}
