//! Measures the placement core: how much of a cluster it fills, and how many decisions it makes in a second.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program for developers: it speaks on the terminal")]

mod arrivals;
mod commits;
mod draw;
mod openb;
mod quality;
mod replay;
mod services;
mod speed;
mod stopwatch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Map, Value};

use openb::Openb;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// What is measured: `sched`
    #[arg(value_parser = ["sched"])]
    what: String,
    /// Print one JSON object and nothing else on standard output
    #[arg(long)]
    json: bool,
    /// A folder with the openb traces; without it only what needs none is measured
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Over how many seeds each mean is
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// How many rounds each median is of
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only the keys that have this in their names
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// What was measured, printed as it comes.
struct Results {
    json: bool,
    only: String,
    values: Map<String, Value>,
}

impl Results {
    fn wants(&self, key: &str) -> bool {
        key.contains(&self.only)
    }

    fn add(&mut self, key: &str, value: Value) {
        if !self.json {
            println!("{key:<40} {value}");
        }
        self.values.insert(key.to_owned(), value);
    }
}

fn main() -> Result<ExitCode> {
    let Arguments { what: _, json, data, seeds, rounds, only } = Arguments::parse();
    let mut results = Results { json, only, values: Map::new() };
    match &data {
        Some(folder) => {
            let openb = Openb::read(folder).with_context(|| format!("reading the traces in {}", folder.display()))?;
            speed::measure(&mut results, &openb, rounds)?;
            services::measure(&mut results, rounds)?;
            quality::measure(&mut results, &openb, seeds)?;
        }
        None => {
            eprintln!("no --data DIR: what needs the openb traces is left out");
            services::measure(&mut results, rounds)?;
        }
    }
    commits::measure(&mut results, rounds)?;
    if json {
        println!("{}", Value::Object(results.values));
    }
    Ok(ExitCode::SUCCESS)
}
