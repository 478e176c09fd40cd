//! How many decisions a second, on the openb cluster as it is and eight times as large.

use anyhow::Result;
use serde_json::{Value, json};

use crate::Results;
use crate::arrivals::arrivals;
use crate::openb::Openb;
use crate::replay::run;

/// On the large cluster one decision in so many is also found by a look at every node.
const SCAN_EVERY: usize = 200;

pub(crate) fn measure(results: &mut Results, openb: &Openb, rounds: usize) -> Result<()> {
    let pods = openb.workload("default")?;
    let small = "fgd_1213_decisions_per_s";
    if results.wants(small) {
        eprintln!("--- {small}");
        let rates = (0..rounds).map(|round| {
            let seed = round as u64 + 1;
            let order = arrivals(pods, 1, openb.capacity(), seed);
            let run = run(openb.hosts(1)?, pods, &order, "FGD", seed, None)?;
            Ok(run.decisions as f64 / run.time.as_secs_f64())
        });
        results.add(small, median(rates.collect::<Result<_>>()?));
    }
    let (large, factor) = ("fgd_9704_decisions_per_s", "fgd_9704_vs_naive");
    if results.wants(large) || results.wants(factor) {
        eprintln!("--- {large}, {factor}");
        let (mut rates, mut factors) = (Vec::new(), Vec::new());
        for seed in 1..=rounds as u64 {
            let order = arrivals(pods, 8, 8 * openb.capacity(), seed);
            let run = run(openb.hosts(8)?, pods, &order, "FGD", seed, Some(SCAN_EVERY))?;
            let rate = run.decisions as f64 / run.time.as_secs_f64();
            let (time, scans) = run.scans;
            rates.push(rate);
            factors.push(rate * time.as_secs_f64() / f64::from(scans));
        }
        results.add(large, median(rates));
        results.add(factor, median(factors));
    }
    Ok(())
}

/// The median, rounded to whole numbers from 1,000 on.
pub(crate) fn median(mut measured: Vec<f64>) -> Value {
    let shown: Vec<String> = measured.iter().map(|value| format!("{value:.1}")).collect();
    eprintln!("    {}", shown.join(" "));
    measured.sort_by(f64::total_cmp);
    match measured.get(measured.len() / 2) {
        Some(value) if *value >= 1_000.0 => json!(value.round()),
        Some(value) => json!((value * 10.0).round() / 10.0),
        None => Value::Null,
    }
}
