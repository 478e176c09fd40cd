//! The written list of tests that may be skipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Where the list is, from the workspace root.
pub(crate) const LIST: &str = ".ci/skips.txt";

const DOCTEST: &str = "doctest ";

/// Names of tests that are allowed to be skipped.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Skips {
    tests: BTreeSet<String>,
    doctests: BTreeSet<String>,
}

impl Skips {
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(LIST)).with_context(|| format!("reading {LIST}"))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let (doctests, tests) = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .partition(|name: &String| name.starts_with(DOCTEST));
        Self { tests, doctests }
    }

    pub(crate) fn check_tests(&self, skipped: &BTreeSet<String>) -> Result<()> {
        compare(&self.tests, skipped)
    }

    pub(crate) fn check_doctests(&self, skipped: &BTreeSet<String>) -> Result<()> {
        compare(&self.doctests, skipped)
    }
}

/// The name by which the list knows a doctest, when `line` reports that rustdoc ignored it.
/// The line number is dropped, so that an edit above the test does not change its name.
pub(crate) fn ignored_doctest(line: &str) -> Option<String> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... ignored")?;
    let name = name.rsplit_once(" (line ").map_or(name, |(name, _)| name);
    Some(format!("{DOCTEST}{name}"))
}

fn compare(listed: &BTreeSet<String>, skipped: &BTreeSet<String>) -> Result<()> {
    let unexplained = skipped.difference(listed).map(|name| format!("skipped without a reason in {LIST}: {name}"));
    let stale =
        listed.difference(skipped).map(|name| format!("listed in {LIST}, but no skipped test has that name: {name}"));
    let findings: Vec<_> = unexplained.chain(stale).collect();
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, skipped: &[&str], findings: &[&str]) {
        let skips = Skips::parse(list);
        let skipped = skipped.iter().map(ToString::to_string).collect();
        let text = match skips.check_tests(&skipped) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(text, findings.join("\n"));
    }

    #[test]
    fn a_listed_test_may_be_skipped() {
        check("# needs a kernel\n\nflynn-core a::b # why\n", &["flynn-core a::b"], &[]);
    }

    #[test]
    fn an_unlisted_skip_is_found() {
        check("", &["flynn-core a::b"], &["skipped without a reason in .ci/skips.txt: flynn-core a::b"]);
    }

    #[test]
    fn a_name_that_is_gone_or_runs_again_is_found() {
        check("flynn-core gone", &[], &["listed in .ci/skips.txt, but no skipped test has that name: flynn-core gone"]);
    }

    #[test]
    fn doctests_are_listed_without_their_line() {
        let line = "test flynn-core/src/lib.rs - id::Id (line 12) ... ignored";
        let name = ignored_doctest(line).unwrap();
        assert_eq!(name, "doctest flynn-core/src/lib.rs - id::Id");
        let skips = Skips::parse(&name);
        assert!(skips.check_tests(&BTreeSet::new()).is_ok());
        assert!(skips.check_doctests(&BTreeSet::from([name])).is_ok());
        assert!(skips.check_doctests(&BTreeSet::new()).is_err());
        assert_eq!(ignored_doctest("test a (line 1) ... ok"), None);
    }
}
