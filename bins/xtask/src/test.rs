//! `cargo xtask test`: every gate, in the order in which a failure is cheapest to find.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::advisories::Advisories;
use crate::features;
use crate::packages;
use crate::process;
use crate::skips::{self, Skips};
use crate::stage::{self, Stage};
use crate::tally::{self, Tally};
use crate::tools::Tools;
use crate::workspace::Workspace;

/// How many seeds each randomised test tries; a test chooses its own small number without it.
const SEEDS: &str = "FLYNN_SEEDS";
const LONG_SEEDS: &str = "1000";

/// The profiles of `.config/nextest.toml`: one whose limits of time fit the usual numbers of seeds, and one for many.
const PROFILE: &str = "default";
const LONG_PROFILE: &str = "long";

/// For all stages together, which take 40 minutes at most on two quiet cores.
const LIMIT: Duration = Duration::from_secs(43 * 60);
const LONG_LIMIT: Duration = Duration::from_secs(8 * 60 * 60);

const STAGES: &[Stage<Gates>] = &[
    Stage { name: "packages", work: packages },
    Stage { name: "format", work: format },
    Stage { name: "clippy", work: clippy },
    Stage { name: "rustdoc", work: rustdoc },
    Stage { name: "features", work: each_feature },
    Stage { name: "programs", work: programs },
    Stage { name: "bases", work: base_images },
    Stage { name: "tests", work: tests },
    Stage { name: "doctests", work: doctests },
    Stage { name: "deny", work: deny },
];

/// What may be said on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Try many more seeds in randomised tests (sets FLYNN_SEEDS, unless it is set).
    #[arg(long)]
    long: bool,
}

struct Gates {
    workspace: Workspace,
    skips: Skips,
    seeds: Option<&'static str>,
    deadline: Instant,
    profile: &'static str,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    let more_seeds = options.long && std::env::var_os(SEEDS).is_none();
    let gates = Gates {
        skips: Skips::load(&workspace.root)?,
        workspace,
        seeds: more_seeds.then_some(LONG_SEEDS),
        profile: if options.long { LONG_PROFILE } else { PROFILE },
        deadline: Instant::now() + if options.long { LONG_LIMIT } else { LIMIT },
    };
    Ok(stage::run(STAGES, &gates))
}

impl Gates {
    fn cargo(&self, args: &[&str]) -> Command {
        self.workspace.cargo(args.iter().copied())
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        process::run(command, self.rest())
    }

    /// How long what is left to do may take.
    fn rest(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Where the runner writes its report.
    fn report(&self) -> PathBuf {
        self.workspace.root.join("target/nextest").join(self.profile).join("junit.xml")
    }

    fn seed(&self, command: &mut Command) {
        command.envs(self.seeds.map(|seeds| (SEEDS, seeds)));
    }
}

fn packages(_: &Gates, _: &mut Tally) -> Result<()> {
    packages::check_machine()?;
    packages::install(&[packages::RUNNING, packages::TESTING].concat())
}

fn format(gates: &Gates, _: &mut Tally) -> Result<()> {
    gates.run(&mut gates.cargo(&["fmt", "--all", "--check"]))
}

fn clippy(gates: &Gates, _: &mut Tally) -> Result<()> {
    gates.run(&mut gates.cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "--deny=warnings"]))
}

/// Libraries only: a binary may bear the name of a library, and rustdoc would write both to one
/// place.
fn rustdoc(gates: &Gates, _: &mut Tally) -> Result<()> {
    let mut command = gates.cargo(&["doc", "--workspace", "--lib", "--no-deps", "--all-features"]);
    gates.run(command.env("RUSTDOCFLAGS", "--deny=warnings"))
}

fn each_feature(gates: &Gates, _: &mut Tally) -> Result<()> {
    for selection in features::selections(&gates.workspace.packages) {
        gates.run(&mut gates.cargo(&selection.args()))?;
    }
    Ok(())
}

/// The programs that end-to-end tests start. The runner builds only those of packages that test their own.
fn programs(gates: &Gates, _: &mut Tally) -> Result<()> {
    gates.run(&mut gates.cargo(&["build", "--workspace", "--bins", "--all-features"]))
}

/// The base images that end-to-end tests give to the platforms they start, made once a week.
fn base_images(gates: &Gates, _: &mut Tally) -> Result<()> {
    gates.run(&mut gates.workspace.command(gates.workspace.target.join("debug/flynn-bases")))
}

fn tests(gates: &Gates, tally: &mut Tally) -> Result<()> {
    let tools = Tools::install(&gates.workspace, gates.rest())?;
    let nextest = |action: &str| {
        let mut command = tools.command(&gates.workspace, "cargo-nextest");
        // The words of a failure are not to be lost among the frames of a runtime.
        command.args(["nextest", action, "--workspace", "--all-features", "--profile", gates.profile]);
        command.env("RUST_BACKTRACE", "0");
        command
    };

    let mut list = String::new();
    let mut listing = nextest("list");
    listing.args(["--message-format", "json"]);
    process::run_lines(&mut listing, gates.rest(), |line| list.push_str(line))?;
    let skipped = skipped_in(&list)?;
    tally.skipped += skipped.len();
    gates.skips.check_tests(&skipped)?;

    let report = gates.report();
    remove_if_there(&report)?;
    let mut running = nextest("run");
    gates.seed(&mut running);
    let outcome = gates.run(&mut running);
    match fs::read_to_string(&report) {
        Ok(xml) => *tally += tally::from_junit(&xml)?,
        Err(error) => {
            // A run that did not get as far as a report has the better explanation.
            outcome?;
            bail!("reading the test report {}: {error}", report.display());
        }
    }
    outcome
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn doctests(gates: &Gates, tally: &mut Tally) -> Result<()> {
    let mut command = gates.cargo(&["test", "--doc", "--workspace", "--all-features"]);
    gates.seed(&mut command);
    let mut skipped = BTreeSet::new();
    process::run_lines(&mut command, gates.rest(), |line| {
        println!("{line}");
        skipped.extend(skips::ignored_doctest(line));
        *tally += tally::from_harness_line(line).unwrap_or_default();
    })?;
    gates.skips.check_doctests(&skipped)
}

/// Licences, duplicate versions, sources and known vulnerabilities of everything we depend on.
fn deny(gates: &Gates, _: &mut Tally) -> Result<()> {
    let tools = Tools::install(&gates.workspace, gates.rest())?;
    let advisories = Advisories::unpack(&gates.workspace)?;
    println!("advisories of {}", advisories.date());
    // Offline, cargo-deny also needs the crates of other platforms to be there.
    gates.run(&mut gates.cargo(&["fetch", "--locked", "--quiet"]))?;
    let mut command = tools.command(&gates.workspace, "cargo-deny");
    command
        .args(["--offline", "--workspace", "check", "--hide-inclusion-graph"])
        .env("FLYNN_ADVISORY_DB", advisories.path());
    gates.run(&mut command)
}

#[derive(Deserialize)]
struct TestList {
    #[serde(rename = "rust-suites")]
    suites: BTreeMap<String, Suite>,
}

#[derive(Deserialize)]
struct Suite {
    testcases: BTreeMap<String, TestCase>,
}

#[derive(Deserialize)]
struct TestCase {
    #[serde(rename = "filter-match")]
    selection: Selection,
}

#[derive(Deserialize)]
struct Selection {
    status: String,
}

/// The tests that the runner will not run, ignored or filtered out, as it prints their names.
fn skipped_in(list: &str) -> Result<BTreeSet<String>> {
    let list: TestList = serde_json::from_str(list).context("reading the output of cargo nextest list")?;
    Ok(list
        .suites
        .iter()
        .flat_map(|(binary, suite)| {
            suite
                .testcases
                .iter()
                .filter(|(_, case)| case.selection.status != "matches")
                .map(move |(name, _)| format!("{binary} {name}"))
        })
        .collect())
}

#[cfg(test)]
mod unit {
    use super::*;

    /// With many seeds a test takes as long as it takes, but for one that hangs.
    #[test]
    fn a_long_run_has_limits_of_its_own() {
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.config/nextest.toml");
        let config = fs::read_to_string(config).unwrap();
        let sections = |profile: &str| {
            let heads = [format!("[profile.{profile}"), format!("[[profile.{profile}")];
            let mut of_profile = false;
            let lines = config.lines().filter(|line| {
                of_profile = if line.starts_with('[') {
                    heads.iter().any(|head| line.starts_with(head.as_str()))
                } else {
                    of_profile
                };
                of_profile
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        let minutes = |text: &str| -> Vec<u64> {
            let limits = text.lines().filter_map(|line| line.strip_prefix("slow-timeout = { period = \""));
            let limits = limits.map(|rest| {
                let (period, rest) = rest.split_once("s\"").unwrap();
                let times = rest.split_once("terminate-after = ").unwrap().1.trim_end_matches([' ', '}']);
                period.parse::<u64>().unwrap() * times.parse::<u64>().unwrap() / 60
            });
            limits.collect()
        };
        // Each for tests in general, and for those that run platforms: what the usual profile overrides holds in every
        // profile that does not override it as well.
        let (usual, long) = (minutes(&sections(PROFILE)), minutes(&sections(LONG_PROFILE)));
        assert_eq!((usual.len(), long.len()), (2, 2), "{usual:?} {long:?}");
        assert!(usual.iter().zip(&long).all(|(usual, long)| *long >= 20 * usual), "{usual:?} {long:?}");
        assert!(Duration::from_secs(60 * long.iter().max().unwrap()) < LONG_LIMIT);
    }

    #[test]
    fn ignored_and_filtered_tests_are_skipped_tests() {
        let list = r#"{"rust-suites": {"flynn-core": {"package-name": "flynn-core", "testcases": {
            "a::runs": {"ignored": false, "filter-match": {"status": "matches"}},
            "a::waits": {"ignored": true,
                         "filter-match": {"status": "mismatch", "reason": "ignored"}}
        }}}}"#;
        let skipped = skipped_in(list).unwrap();
        assert_eq!(skipped, BTreeSet::from(["flynn-core a::waits".to_owned()]));
        assert!(skipped_in("{}").is_err());
    }
}
