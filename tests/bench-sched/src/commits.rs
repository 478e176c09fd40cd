//! How long it takes until 10,000 jobs are planned, durable in the SQLite store, and seen by a view that follows it:
//! what a controller does when that many instances are asked for at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flynn_core::change::{Batch, Change, MOST_CHANGES};
use flynn_core::election::{Campaign, Seat};
use flynn_core::name::{AppName, NodeName, ProcessName, TeamName};
use flynn_core::noun::{
    App, AppStatus, Formation, FormationId, Job, JobState, Liveness, Node, NodeId, NodeStatus, ProcessType, Release,
    ReleaseCause, ReleaseId, Scale, Team,
};
use flynn_core::port::{Elections, Store};
use flynn_core::sqlite::{SqliteOptions, SqliteStore};
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, Clock, Ids, Principal, Revision, Scope, SystemClock, TeamId, View};
use flynn_sched::{Observed, Policy, pass};
use serde_json::{Value, json};

use crate::Results;
use crate::stopwatch::Wall;

const KEY: &str = "commit_10k_jobs_s";
const NODES: usize = 1_000;
const APPS: usize = 20;
const INSTANCES: u32 = 500;

pub(crate) fn measure(results: &mut Results, rounds: usize) -> Result<()> {
    if !results.wants(KEY) {
        return Ok(());
    }
    eprintln!("--- {KEY}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut seconds = Vec::new();
    for seed in 1..=rounds as u64 {
        let folder = tempfile::tempdir().context("a folder for the store")?;
        let round = runtime.block_on(round(folder.path(), seed))?;
        eprintln!("    {:.2} s, of which {:.2} s planning", round.whole.as_secs_f64(), round.planning.as_secs_f64());
        seconds.push(round.whole.as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    results.add(KEY, seconds.get(rounds / 2).map_or(Value::Null, |median| json!((median * 100.0).round() / 100.0)));
    Ok(())
}

struct Round {
    whole: Duration,
    planning: Duration,
}

async fn round(folder: &std::path::Path, seed: u64) -> Result<Round> {
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(folder.join("store.db"))).await?);
    let (view, follower) = View::open(store.clone(), Scope::All).await?;
    let follower = tokio::spawn(follower.run());
    let mut ids = Ids::seeded(seed);
    let mut last = Revision::ZERO;
    for batch in wishes(&mut ids)?.chunks(MOST_CHANGES) {
        let batch = Batch { changes: batch.to_vec(), ..Batch::new(Principal::System) };
        last = store.commit(batch).await?.revision;
    }
    let campaign = store.campaign(Seat::Controller, "bench", Duration::from_secs(3_600)).await?;
    let Campaign::Won(lease) = campaign else { anyhow::bail!("somebody else has the seat") };
    view.wait_for(last).await?;

    let watch = Wall::start();
    let now = SystemClock.now();
    let policy = Policy { seed, ..Policy::default() };
    let plan = pass(&view.snapshot(), &Observed::new(now), now, &mut ids, &policy);
    let planning = watch.elapsed();
    for draft in plan.drafts() {
        ensure!(draft.changes.len() <= MOST_CHANGES, "a batch of {} changes", draft.changes.len());
        last = store.commit(draft.sign(Principal::Controller(lease.epoch))).await?.revision;
    }
    let seen = view.wait_for(last).await?;
    let whole = watch.elapsed();

    let placed = seen.objects.iter::<Job>().filter(|job| job.status.state == JobState::Assigned).count();
    ensure!(placed == APPS * INSTANCES as usize, "{placed} instances have a node");
    store.close().await;
    follower.abort();
    Ok(Round { whole, planning })
}

/// A team with apps that serve and want their instances, and the nodes for them.
fn wishes(ids: &mut Ids) -> Result<Vec<Change>> {
    let now = SystemClock.now();
    let team: TeamId = ids.next(now);
    let mut changes = vec![Change::create(team, TeamId::SYSTEM, Team { name: TeamName::new("bench")? })];
    let capacity = Resources { cpu_millis: 64_000, memory_bytes: 64 << 30, disk_bytes: 1 << 40, pids: 1 << 20 };
    for number in 0..NODES {
        let id: NodeId = ids.next(now);
        let status = NodeStatus { liveness: Liveness::Ready, capacity, ..NodeStatus::default() };
        let node = Node::new(NodeName::new(&format!("n{number}"))?);
        changes.extend([Change::create(id, TeamId::SYSTEM, node), Change::report(id, status)]);
    }
    let web = ProcessName::new("web")?;
    for number in 0..APPS {
        let (app, release, formation): (AppId, ReleaseId, FormationId) = (ids.next(now), ids.next(now), ids.next(now));
        let command = vec![String::from("/bin/sh"), String::from("-c"), String::from("exec ./serve")];
        let program = ProcessType { port: Some(8_080), ..ProcessType::new(command) };
        let spec = Release {
            app,
            number: 1,
            image: Digest::from_bytes([1; 32]),
            env: BTreeMap::new(),
            processes: [(web.clone(), program)].into(),
            cause: ReleaseCause::Image(String::from("bench")),
            commit: None,
            branch: None,
        };
        let wanted = Formation { app, processes: [(web.clone(), Scale::of(INSTANCES, Scale::RESOURCES))].into() };
        changes.extend([
            Change::create(app, team, App::new(AppName::new(&format!("app-{number}"))?)),
            Change::create(release, team, spec),
            Change::report(app, AppStatus { release: Some(release) }),
            Change::create(formation, team, wanted),
        ]);
    }
    Ok(changes)
}
