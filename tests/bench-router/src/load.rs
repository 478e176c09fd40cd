//! Requests as fast as they are answered, by `wrk` on the second core.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::proxy::pinned;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) path: &'a str,
    pub(crate) connections: usize,
    /// A script for `wrk` that makes the requests.
    pub(crate) script: Option<&'a Path>,
}

/// Sends requests for so many seconds and says how many were answered. All have to be, and well.
pub(crate) fn run(load: Load<'_>, proxy: SocketAddr, seconds: u32) -> Result<u64> {
    let mut command = pinned(1, "wrk");
    command.args(["-t1", &format!("-c{}", load.connections), &format!("-d{seconds}s")]);
    if let Some(script) = load.script {
        command.arg("-s").arg(script);
    }
    command.args(["-H", "Host: a.example", &format!("http://{proxy}{}", load.path)]);
    let output = command.stdin(Stdio::null()).output().context("starting wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    answered(&text)
}

fn answered(report: &str) -> Result<u64> {
    ensure!(!report.contains("Non-2xx") && !report.contains("Socket errors"), "requests failed: {report}");
    let line = report.lines().find(|line| line.contains(" requests in "));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
    number.filter(|count| *count > 0).with_context(|| format!("wrk did not say how many requests: {report}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 1s test\n  1 threads and 64 connections\n  48123 requests in 1.00s, 60.12MB read\n";

    #[test]
    fn only_a_run_without_failures_counts() {
        assert_eq!(answered(REPORT).ok(), Some(48_123));
        assert!(answered(&(REPORT.to_owned() + "  Non-2xx or 3xx responses: 1\n")).is_err());
        assert!(answered(&(REPORT.to_owned() + "  Socket errors: connect 0, read 1\n")).is_err());
        assert!(answered("").is_err());
    }
}
