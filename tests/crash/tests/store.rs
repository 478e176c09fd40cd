//! kill -9 at every named point of a commit, and at random moments: what was acknowledged is there, what
//! was not is there whole or not at all, and whoever asks again gets the same answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use flynn_core::noun::{App, Objects};
use flynn_core::port::{Event, EventLog, Store};
use flynn_core::sqlite::{CommitStage, SqliteOptions, SqliteStore};
use flynn_core::{Revision, Scope};
use futures::StreamExt;

type Round = (u64, u64);

/// What a committer said before it died.
#[derive(Debug, Default)]
struct Said {
    began: Vec<Round>,
    acknowledged: BTreeMap<Round, Revision>,
    stopped: bool,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["began", writer, round] => self.began.push((writer.parse().unwrap(), round.parse().unwrap())),
            ["acknowledged", writer, round, revision] => {
                let revision = Revision::new(revision.parse().unwrap());
                self.acknowledged.insert((writer.parse().unwrap(), round.parse().unwrap()), revision);
            }
            ["stopped"] => self.stopped = true,
            other => panic!("{other:?}"),
        }
    }

    /// The rounds that were under way.
    fn in_flight(&self) -> Vec<Round> {
        self.began.iter().filter(|round| !self.acknowledged.contains_key(round)).copied().collect()
    }
}

/// What all committers of one file said before they died.
#[derive(Debug, Default)]
struct Lives {
    began: BTreeSet<Round>,
    acknowledged: BTreeMap<Round, Revision>,
}

impl Lives {
    fn add(&mut self, said: Said) {
        self.began.extend(said.began);
        for (round, revision) in said.acknowledged {
            let before = self.acknowledged.insert(round, revision);
            assert!(before.is_none_or(|before| before == revision), "{round:?} got two answers");
        }
    }
}

/// Runs a committer until `enough`, kills it, and hears it to the end.
fn run_until(file: &Path, arguments: &[&str], enough: impl Fn(&Said) -> bool) -> Said {
    let mut committer = Committer::start(file, arguments);
    let mut lines = BufReader::new(committer.0.stdout.take().unwrap()).lines();
    let mut said = Said::default();
    while !enough(&said) {
        said.hear(&lines.next().expect("the committer ended by itself").unwrap());
    }
    committer.kill();
    // The pipe may hold more, and its last line may be cut off.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    rest.iter().filter(|line| is_whole(line)).for_each(|line| said.hear(line));
    said
}

fn is_whole(line: &str) -> bool {
    let words = line.split(' ').count();
    matches!(line.split(' ').next(), Some("began")) && words == 3 || line.starts_with("acknowledged ") && words == 4
}

struct Committer(Child);

impl Committer {
    fn start(file: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_committer"));
        Self(command.arg(file).args(arguments).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens what a killed committer left, and holds it against what was acknowledged in all lives so far.
async fn inspect(file: &Path, Lives { began, acknowledged }: &Lives) {
    let store = SqliteStore::open(SqliteOptions::new(file)).await.unwrap();
    let snapshot = store.snapshot(Scope::All).await.unwrap();
    let rounds = whole_rounds(&snapshot.objects);
    for (round, revision) in acknowledged {
        assert!(*revision <= snapshot.revision, "{round:?} was acknowledged as {revision}");
        assert!(rounds.contains_key(round) || is_removed_later(*round), "{round:?} was acknowledged and is not there");
    }
    for round in rounds.keys() {
        assert!(began.contains(round), "{round:?} is there and nobody began it");
    }
    let mut replica = Objects::default();
    let mut tail = store.tail(Scope::All, Revision::ZERO).take(usize::try_from(snapshot.revision.get()).unwrap());
    let mut next = 1;
    while let Some(commit) = tail.next().await {
        let commit = commit.unwrap();
        assert_eq!(commit.revision.get(), next, "the log has a gap");
        next += 1;
        for event in commit.events {
            match event {
                Event::Put(object) => drop(replica.insert(object)),
                Event::Removed(id) => drop(replica.remove(id)),
            }
        }
    }
    assert_eq!(replica, snapshot.objects, "the log does not lead to the objects");
    store.close().await;
    let connection = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = sqlx::ConnectOptions::connect(&connection).await.unwrap();
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(verdict, "ok");
}

/// The rounds whose apps are there. Half a round is a torn batch.
fn whole_rounds(objects: &Objects) -> BTreeMap<Round, usize> {
    let mut rounds = BTreeMap::new();
    for app in objects.iter::<App>() {
        let name = app.spec.name.as_str();
        let mut parts = name.trim_start_matches('w').split('-');
        let mut number = || parts.next().unwrap().parse().unwrap();
        *rounds.entry((number(), number())).or_insert(0) += 1;
    }
    let torn: Vec<_> = rounds.iter().filter(|(_, apps)| **apps != 2).collect();
    assert!(torn.is_empty(), "torn batches: {torn:?}");
    rounds
}

/// Round 3n + 2 removes what round 3n + 1 made.
fn is_removed_later((_, round): Round) -> bool {
    round % 3 == 1
}

/// A store that dies again and again at the same point, an uneven number of commits apart.
async fn dies_at(stage: CommitStage) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let mut lives = Lives::default();
    for count in ["1", "2", "5", "19"] {
        lives.add(run_until(&file, &[&format!("{stage:?}"), count], |said| said.stopped));
        inspect(&file, &lives).await;
    }
}

macro_rules! dies_at {
    ($($test:ident => $stage:ident,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                dies_at(CommitStage::$stage).await;
            }
        )*

        /// A stage without a test would be a place nobody has died at.
        #[test]
        fn every_stage_is_tried() {
            assert_eq!(CommitStage::ALL.as_slice(), [$(CommitStage::$stage),*]);
        }
    };
}

dies_at! {
    after_judging => Judged,
    after_the_transaction_began => Begun,
    after_the_log_was_written => LogWritten,
    after_the_objects_were_written => ObjectsWritten,
    after_pruning => Pruned,
    after_the_counter_was_written => PositionWritten,
    after_the_commit => Committed,
    after_publishing => Published,
}

/// Thirty lives, each ended in the middle of something.
#[tokio::test]
async fn at_random_moments() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let mut lives = Lives::default();
    for life in 0..seeds() {
        // Each life first repeats the rounds of those before, so it has to outlive them to get anywhere.
        let enough = lives.acknowledged.len() + 1 + usize::try_from(life * 7 % 23).unwrap();
        let said = run_until(&file, &[], |said| said.acknowledged.len() >= enough && !said.in_flight().is_empty());
        assert!(!said.in_flight().is_empty(), "life {life} ended between two commits");
        lives.add(said);
        inspect(&file, &lives).await;
    }
}

#[allow(clippy::disallowed_methods, reason = "tests take the number of seeds from the environment")]
fn seeds() -> u64 {
    std::env::var("FLYNN_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(30).min(100)
}
