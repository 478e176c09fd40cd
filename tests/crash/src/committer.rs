//! Commits to a store until it is killed, and says what it began and what was acknowledged.
//!
//! `committer FILE` commits on and on. `committer FILE STAGE N` stops dead the `N`th time a commit reaches
//! that stage, says `stopped` and waits to be killed there. Each round of a writer creates two apps in one batch under
//! an idempotency key; every third round also removes the pair of the round before.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "part of a test")]

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use flynn_core::name::{AppName, TeamName};
use flynn_core::noun::{App, AppId, Team};
use flynn_core::port::Store;
use flynn_core::sqlite::{CommitStage, SqliteOptions, SqliteStore};
use flynn_core::{Batch, Change, Ids, Principal, TeamId, Timestamp};
use futures::future::join_all;

const WRITERS: u64 = 4;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut options = SqliteOptions::new(&arguments[0]);
    if let [_, stage, count] = arguments.as_slice() {
        let stage = CommitStage::ALL.into_iter().find(|known| format!("{known:?}") == *stage).expect("a stage");
        let left = AtomicU64::new(count.parse().unwrap());
        options = options.on_stage(move |reached| {
            if reached == stage && left.fetch_sub(1, Ordering::SeqCst) == 1 {
                say("stopped");
                loop {
                    std::thread::park();
                }
            }
        });
    }
    let store = SqliteStore::open(options).await.unwrap();
    let team: TeamId = Ids::seeded(0).next(Timestamp::EPOCH);
    let found = Batch::new(Principal::System)
        .with(Change::create(team, TeamId::SYSTEM, Team { name: TeamName::new("red").unwrap() }))
        .idempotent("team", [0; 32]);
    store.commit(found).await.unwrap();
    join_all((0..WRITERS).map(|writer| write(&store, team, writer))).await;
}

/// The apps of a round.
fn pair(writer: u64, round: u64) -> [AppId; 2] {
    let mut ids = Ids::seeded(1 + writer * 1_000_000 + round);
    [ids.next(Timestamp::EPOCH), ids.next(Timestamp::EPOCH)]
}

async fn write(store: &SqliteStore, team: TeamId, writer: u64) {
    for round in 0.. {
        let mut batch = Batch::new(Principal::System).idempotent(format!("w{writer}-{round}"), [0; 32]);
        for (id, half) in pair(writer, round).into_iter().zip(["a", "b"]) {
            let name = AppName::new(&format!("w{writer}-{round}-{half}")).unwrap();
            batch = batch.with(Change::create(id, team, App::new(name)));
        }
        if round % 3 == 2 {
            batch.changes.extend(pair(writer, round - 1).map(Change::remove));
        }
        say(&format!("began {writer} {round}"));
        let committed = store.commit(batch).await.unwrap();
        say(&format!("acknowledged {writer} {round} {}", committed.revision));
    }
}

/// One line, at once: a killed process flushes nothing.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}
