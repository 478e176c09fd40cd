//! How much of the GPUs each policy gives out, beside what was published.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::Results;
use crate::arrivals::{arrivals, expected};
use crate::openb::Openb;
use crate::replay::{POLICIES, run};

/// Under the conditions of the published table: CPU-only pods land on GPU nodes too; pods arrive one by one, are tried
/// once, and never leave.
pub(crate) fn measure(results: &mut Results, openb: &Openb, seeds: u64) -> Result<()> {
    let capacity = openb.capacity();
    for (workload, pods) in &openb.workloads {
        let key = format!("gpu_allocation_{workload}");
        if !results.wants(&key) {
            continue;
        }
        eprintln!("--- {key}: {} pods, {} shapes expected", pods.len(), expected(pods).len());
        let mut table = Map::new();
        for policy in POLICIES {
            let mut runs = Vec::new();
            for seed in 1..=seeds {
                let order = arrivals(pods, 1, capacity, seed);
                runs.push(run(openb.hosts(1)?, pods, &order, policy, seed, None)?);
            }
            let mut row = Map::new();
            for percent in [100u32, 130] {
                let allocated =
                    runs.iter().map(|run| run.allocated_at(percent as usize)).collect::<Result<Vec<f64>>>()?;
                let mean = allocated.iter().sum::<f64>() / allocated.len() as f64;
                let spread = allocated.iter().map(|each| (each - mean).powi(2)).sum::<f64>() / allocated.len() as f64;
                let mut cell = json!({ "mean": round(mean), "deviation": round(spread.sqrt()) });
                let published = openb.published.get(&(workload.clone(), policy.to_owned(), percent));
                if let (Some(published), Some(cell)) = (published, cell.as_object_mut()) {
                    cell.insert("published".to_owned(), json!(published));
                    cell.insert("difference".to_owned(), json!(round(mean - published)));
                }
                row.insert(percent.to_string(), cell);
            }
            let row = Value::Object(row);
            eprintln!("    {policy:<14} {row}");
            table.insert(policy.to_owned(), row);
        }
        results.add(&key, Value::Object(table));
    }
    Ok(())
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
