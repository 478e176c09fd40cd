//! How many tests passed, failed and were skipped, read from the runners' reports.

use std::fmt;
use std::ops::AddAssign;

use anyhow::{Context, Result};

/// Counts of tests; prints as the closing line of a run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Reads the totals of a JUnit report, which names only the tests that ran.
pub(crate) fn from_junit(xml: &str) -> Result<Tally> {
    let (_, totals) = xml.split_once("<testsuites").context("the JUnit report has no <testsuites>")?;
    let totals = totals.split('>').next().unwrap_or_default();
    let count = |name: &str| -> Result<usize> {
        let (_, rest) = totals
            .split_once(&format!(" {name}=\""))
            .with_context(|| format!("<testsuites> of the JUnit report has no `{name}`"))?;
        let digits = rest.split('"').next().unwrap_or_default();
        digits.parse().with_context(|| format!("`{name}` of the JUnit report is no number: {digits}"))
    };
    let failed = count("failures")? + count("errors")?;
    Ok(Tally { passed: count("tests")?.saturating_sub(failed), failed, skipped: 0 })
}

/// Reads one line of rustdoc's test harness; only its closing lines count.
pub(crate) fn from_harness_line(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?;
    let count =
        |name: &str| counts.split([';', '.']).find_map(|part| part.trim().strip_suffix(name)?.trim().parse().ok());
    Some(Tally { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_totals_are_read() {
        let xml = r#"<?xml version="1.0"?>
<testsuites name="nextest-run" tests="12" failures="2" errors="1" uuid="x">
    <testsuite name="a" tests="12" disabled="0" errors="1" failures="2">"#;
        let tally = from_junit(xml).unwrap();
        assert_eq!(tally.to_string(), "9 passed, 3 failed, 0 skipped");
    }

    #[test]
    fn a_report_without_totals_is_an_error() {
        assert!(from_junit("").is_err());
        assert!(from_junit("<testsuites name=\"x\">").is_err());
    }

    #[test]
    fn harness_totals_are_read() {
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; 0.1s";
        let tally = from_harness_line(line).unwrap();
        assert_eq!(tally.to_string(), "3 passed, 1 failed, 2 skipped");
        assert_eq!(from_harness_line("test a ... ok"), None);
    }
}
