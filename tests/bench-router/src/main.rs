//! Measures the router beside nginx and HAProxy, with the programs beside it.
//!
//! The proxy that is measured has the first core to itself, the instances and the load share the second. What
//! counts is the CPU time of the proxy for each request, as the operating system says, and rounds of the peers take
//! turns, so that what else the machine does hits all of them.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program for developers: it reads the clock and prints what it finds"
)]

mod backend;
mod idle;
mod load;
mod numbers;
mod proxy;
mod ratios;
mod table;

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

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
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only the keys that have this in their names
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Where the instance listens
    #[arg(long, hide = true, default_value = "127.0.0.1:0")]
    address: SocketAddr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// The router beside its peers
    Router,
    /// The instance behind the proxies that are measured
    #[value(hide = true)]
    Instance,
}

/// What is measured together: keys, and how their values are found.
type Measure = (&'static [&'static str], fn(usize) -> Result<Vec<f64>>);

const MEASURES: &[Measure] = &[
    (&["h1_1k_vs_nginx", "h1_1k_vs_haproxy"], ratios::small),
    (&["h1_64k_vs_nginx_tuned"], ratios::large),
    (&["idle_bytes_per_conn"], idle::bytes_per_connection),
    (&["lookup_50k_ns"], table::lookup),
    (&["routes_50k_vs_100"], ratios::routes),
    (&["route_change_us"], table::change),
];

fn main() -> Result<ExitCode> {
    let Arguments { what, json, rounds, only, address } = Arguments::parse();
    if let What::Instance = what {
        return backend::run(address).map(|()| ExitCode::SUCCESS);
    }
    let mut results = Vec::new();
    for (keys, measure) in MEASURES.iter().filter(|(keys, _)| keys.iter().any(|key| key.contains(&only))) {
        eprintln!("--- {}", keys.join(", "));
        for (key, value) in keys.iter().zip(measure(rounds.max(1))?) {
            let value = numbers::short(value);
            if !json {
                println!("{key:<24} {value}");
            }
            results.push(format!("\"{key}\":{value}"));
        }
    }
    if json {
        println!("{{{}}}", results.join(","));
    }
    Ok(ExitCode::SUCCESS)
}
