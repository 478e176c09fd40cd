//! Keeps containers of an image running on this machine, with a router in front: an orchestrator of one's own.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::{env, future::pending, path::PathBuf, sync::Arc};

use flynn_build::oci::{Layout, LayoutLimits};
use flynn_core::local::DirBlobs;
use flynn_core::name::{AppName, HostPattern, NodeName, ProcessName, TeamName};
use flynn_core::noun::{
    App, Deployment, DeploymentState, Entry, Formation, Job, Node, Release, Route, Router, Stored, Team,
};
use flynn_core::port::{Snapshot, Store};
use flynn_core::{Batch, Change, Clock, Ids, MemoryPresence, MemoryStore, Principal, Scope, SystemClock, TeamId, View};
use flynn_router::access::NoAccessLog;
use flynn_router::follow::{FollowSettings, RouteFollower};
use flynn_router::proxy::{Proxy, ProxySettings};
use flynn_router::table::ShardedTable;
use flynn_runtime::machine::{Machine, MachineOptions, NoEnvironments};
use flynn_sched::{Config, Controller};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let usage = |_| anyhow::anyhow!("usage: custom-orchestrator IMAGE COUNT LISTEN DATA SHIM");
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [image, count, listen, data, shim] = <[String; 5]>::try_from(arguments).map_err(usage)?;
    let (image, data, listener) = (PathBuf::from(image), PathBuf::from(data), TcpListener::bind(listen).await?);
    let [mut hangup, mut interrupt, mut terminate] =
        [signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];

    // A machine to run on, and what is wanted of it: all nouns in a store in memory.
    let clock = Arc::new(SystemClock);
    let blobs = Arc::new(DirBlobs::open(data.join("blobs"), clock.clone()).await?);
    let machine = Machine::open(MachineOptions::new(data.join("machine"), shim), blobs.clone(), clock.clone()).await?;
    machine.clear().await?;
    let (store, presence) = (Arc::new(MemoryStore::default()), Arc::new(MemoryPresence::new(clock.clone())));
    let (view, follower) = View::open(store.clone(), Scope::All).await?;
    let (mut ids, now) = (Ids::from_entropy(), clock.now());
    let (team, app, node, router, formation) =
        (ids.next(now), ids.next(now), ids.next(now), ids.next(now), ids.next(now));
    let (web, here, host) = (ProcessName::new("web")?, NodeName::new("here")?, HostPattern::new("localhost")?);
    let wanted = Batch::new(Principal::System)
        .with(Change::create(team, TeamId::SYSTEM, Team { name: TeamName::new("us")? }))
        .with(Change::create(app, team, App::new(AppName::new("app")?)))
        .with(Change::create(ids.next(now), team, Route { app, process: web.clone(), entry: Entry::host(host) }))
        .with(Change::create(formation, team, Formation::of(app, web.clone(), count.parse()?)))
        .with(Change::create(node, TeamId::SYSTEM, Node::new(here.clone())))
        .with(Change::create(router, TeamId::SYSTEM, Router { name: here.clone() }));
    store.commit(wanted).await?;

    // The loops that bring it about.
    let (agent, _) = machine.agent((node, here), store.clone(), presence.clone(), Arc::new(NoEnvironments)).await?;
    let controller = Controller::new(store.clone(), presence.clone(), clock.clone(), Config::new("only"));
    let table = Arc::new(ShardedTable::new());
    let settings = FollowSettings::new(router, "only");
    let routes = RouteFollower::new(store.clone(), presence, table.clone(), clock.clone(), settings);
    let proxy = Proxy::new(table, Arc::new(NoAccessLog), clock.clone(), ProxySettings::default());

    // What this orchestrator decides: when to roll, and when to end.
    let roll = async |number| {
        let (path, spool) = (image.clone(), env::temp_dir());
        let check = move || Layout::open(&path, &spool, LayoutLimits::default())?.image(None);
        let image = tokio::task::spawn_blocking(check).await??.store(&*blobs).await?;
        let (to, deployment) = (Ids::from_entropy().next(clock.now()), Ids::from_entropy().next(clock.now()));
        let release = Release::of_image(app, number, image.image, "a layout", [(web.clone(), image.web)].into());
        let serving = view.snapshot().objects.get(app).and_then(|app| app.status.release);
        let batch = Batch::new(Principal::System).with(Change::create(to, team, release));
        store.commit(batch.with(Change::create(deployment, team, Deployment::new(app, serving, to)))).await?;
        let state = |objects: &Snapshot| Some(objects.objects.get(deployment)?.status.state.clone());
        let ended = view.until(|objects| state(objects).filter(DeploymentState::is_end)).await?;
        println!("v{number}: {ended:?}");
        anyhow::Ok(())
    };
    let operate = async {
        for number in 1.. {
            roll(number).await.unwrap_or_else(|error| println!("v{number}: {error:#}"));
            tokio::select! {
                _ = hangup.recv() => {}
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            }
        }
        let none = Formation { app, processes: [].into() };
        store.commit(Batch::new(Principal::System).with(Change::update(formation, none))).await?;
        let all_ended = |job: &Arc<Stored<Job>>| job.status.state.is_end();
        anyhow::Ok(view.until(|now| now.objects.iter::<Job>().all(all_ended).then_some(())).await?)
    };
    let outcome = tokio::select! {
        outcome = operate => outcome,
        error = follower.run() => Err(error.into()),
        ended = agent.run(pending()) => ended.map_err(Into::into),
        ended = controller.run(pending()) => ended.map_err(Into::into),
        () = routes.run(pending()) => Ok(()),
        _ = proxy.serve(listener, pending()) => Ok(()),
    };
    machine.close().await?;
    outcome
}
