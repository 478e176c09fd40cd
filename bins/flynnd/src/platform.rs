//! Puts the parts of the control plane together and runs them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::Router;
use flynn_build::collect::{CollectSettings, Collector};
use flynn_build::git::{GitDriver, GitSettings, GitUser, HookCommand, Repositories};
use flynn_build::source::Intake;
use flynn_core::election::{Campaign, Seat};
use flynn_core::local::DirBlobs;
use flynn_core::port::{Blobs, Elections, KeyRing};
use flynn_core::server::api::{self, ApiOptions, ApiState, Edge, Readiness};
use flynn_core::server::link::{LinkOptions, Links};
use flynn_core::server::peer::{self, BlobOptions, PeerOptions};
use flynn_core::server::{Authenticator, FirstOf, SocketAuthenticator, TokenAuthenticator};
use flynn_core::sqlite::{SqliteOptions, SqliteStore};
use flynn_core::value::Resources;
use flynn_core::{Ids, MemoryPresence, MemorySamples, Scope, SystemClock, View};
use flynn_instance::crash::{CrashPoints, Watched};
use flynn_instance::{Layout, Stop};
use flynn_runtime::network::BridgeNetwork;
use flynn_sched::{Config, Controller};
use tokio::time::sleep;

use crate::arguments::ServeArguments;
use crate::children::{bound_logs, programs, supervise};
use crate::claim::{Claim, make_folder};
use crate::closing::Closing;
use crate::disk::DataDisk;
use crate::git::{Deployer, TokenAuthority, Upkeep};
use crate::machine::Machine;
use crate::serve::Limits;
use crate::sources::Uploads;
use crate::{git, keys, serve};

/// How long pushes may go on after the end of service has begun. What they began goes on without them.
const LAST_PUSHES: Duration = Duration::from_secs(10);
/// The seat is asked for to learn who had it, and given back at once.
const FREE_TERM: Duration = Duration::from_secs(1);
/// The wait before a controller that ended is run again.
const PAUSE: Duration = Duration::from_secs(1);

/// The store.
type Truth = Watched<SqliteStore>;

/// Runs the control plane until it is told to end.
pub(crate) fn run(arguments: ServeArguments) -> anyhow::Result<()> {
    let claim = Claim::take(&arguments)?;
    flynn_instance::start_logging(arguments.log_level);
    flynn_instance::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(control(arguments, claim))
}

async fn control(arguments: ServeArguments, claim: Claim) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let layout = &claim.layout;
    let disk = DataDisk::of(layout);
    disk.make_room().with_context(|| format!("{} cannot be removed", layout.ballast().display()))?;
    let keys = Arc::new(keys::open(layout)?);
    let opened = SqliteStore::open(SqliteOptions::new(layout.store())).await;
    let store = opened.with_context(|| match disk.problem() {
        Ok(Some(problem)) => format!("the data disk is full: {problem}: make room, then start again"),
        _ => String::from("the store cannot be opened"),
    })?;
    let crash = CrashPoints::of("flynnd", arguments.crash_points.as_deref());
    let store = Arc::new(Watched::new(Arc::new(store), &crash));
    let ended = serve_all(&arguments, claim, store.clone(), keys, &crash, &mut stop).await;
    store.inner().close().await;
    tracing::info!("ended");
    ended
}

async fn serve_all(
    arguments: &ServeArguments,
    claim: Claim,
    store: Arc<Truth>,
    keys: Arc<dyn KeyRing>,
    crash: &CrashPoints,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let Claim { layout, listener, socket, post } = claim;
    let clock = Arc::new(SystemClock);
    let blobs = Arc::new(DirBlobs::open(layout.blobs(), clock.clone()).await?);
    let blobs: Arc<dyn Blobs> = Arc::new(Watched::new(blobs, crash));
    let (presence, samples) = (Arc::new(MemoryPresence::new(clock.clone())), Arc::new(MemorySamples::default()));
    let (close, closing) = Closing::new();
    let (view, follower) = View::open(store.clone(), Scope::All).await?;

    let tokens = TokenAuthenticator::new(store.clone());
    let own_uid = std::fs::metadata("/proc/self")?.uid();
    let authenticator: Arc<dyn Authenticator> = Arc::new(FirstOf(tokens, SocketAuthenticator::new(own_uid)));
    let options = PeerOptions::default().without_people().closing(closing.watch());
    let peers = peer::router(store.clone(), presence.clone(), samples, authenticator.clone(), options);

    let links = Arc::new(Links::new(LinkOptions::default().closing(closing.watch())));
    let ways = links.routes(store.clone(), authenticator.clone());
    let spool = Intake::new(layout.spool());
    let mut api_options = ApiOptions::new(arguments.domain.clone());
    let resources = Resources {
        memory_bytes: arguments
            .build_memory
            .map_or_else(git::usual_memory, |mebibytes| mebibytes.saturating_mul(1 << 20)),
        disk_bytes: arguments.build_disk.saturating_mul(1 << 20),
        ..git::BUILD
    };
    api_options.build_resources = resources;
    // A port that the system chooses is known to the router alone.
    let known = |address: SocketAddr| Some(address.port()).filter(|port| *port != 0);
    let edge = known(arguments.http).map(Edge::http);
    let edge = match arguments.https().and_then(known) {
        Some(port) => edge.map(|edge| edge.with_https(port)),
        None => edge,
    };
    api_options.edge = edge.clone();
    let (disk, readiness) = (DataDisk::of(&layout), api_options.readiness.clone());
    let streams = api_options.streams.clone();
    let problem = disk.problem().context("the data disk cannot be looked at")?;
    problem.iter().for_each(|problem| disk.complain(problem));
    readiness.set_disk_problem(problem);
    let public = api::router(ApiState {
        store: store.clone(),
        events: store.clone(),
        view: view.clone(),
        history: store.clone(),
        presence: presence.clone(),
        key_ring: keys.clone(),
        blobs: blobs.clone(),
        sources: Arc::new(Uploads { intake: spool, blobs: blobs.clone() }),
        links: links.clone(),
        authenticator: authenticator.clone(),
        clock: clock.clone(),
        options: api_options,
    });
    let content = peer::blob_routes(store.clone(), blobs.clone(), authenticator.clone(), BlobOptions::default());
    let environments = peer::environment_routes(store.clone(), keys.clone(), authenticator.clone(), clock.clone());
    let certificates = peer::certificate_routes(store.clone(), keys, authenticator, clock.clone());

    let collector = Collector::new(store.clone(), blobs.clone(), clock.clone(), CollectSettings::default());
    let deployer = Deployer { store: store.clone(), view: view.clone(), blobs, link: links, resources, edge };
    let (pushes, repositories, git_driver) = open_git(arguments, &layout, &store, deployer, readiness.clone()).await?;
    let routes = public.merge(peers).merge(content).merge(environments).merge(certificates).merge(ways).merge(pushes);

    free_seat(&*store).await?;
    let holder = Ids::from_entropy().next::<()>(flynn_core::Clock::now(&*clock)).to_string();
    let control = async {
        loop {
            let controller = Controller::new(store.clone(), presence.clone(), clock.clone(), Config::new(&holder));
            match controller.run(closing.begun()).await {
                Ok(()) => return,
                Err(error) => tracing::error!("the controller ended, running it again: {:#}", anyhow!(error)),
            }
            sleep(PAUSE).await;
        }
    };
    let children = keep_children(arguments, &layout, &store, &closing).await?;

    tracing::info!(api = %listener.local_addr()?, socket = %layout.socket().display(), data = %layout.data().display(), "serving");
    let (listener, socket) =
        (tokio::net::TcpListener::from_std(listener)?, tokio::net::UnixListener::from_std(socket)?);
    let push = async {
        let driven = git_driver.run(closing.begun());
        tokio::pin!(driven);
        tokio::select! {
            () = &mut driven => {}
            () = async { closing.begun().await; sleep(LAST_PUSHES).await } => {
                tracing::info!("pushes that went on for too long are cut off");
            }
        }
    };
    let work = async {
        tokio::join!(
            serve::network(listener, routes.clone(), Limits::default(), closing.clone()),
            serve::machine(socket, routes.clone(), Limits::default(), closing.clone()),
            push,
            control,
            collector.run(closing.begun()),
            Upkeep::default().run(&*store, &view, &repositories, closing.clone()),
            disk.watch(readiness, closing.clone()),
            // They have no end of their own, and the servers wait for what they serve.
            async {
                closing.begun().await;
                streams.close().await
            },
            children,
            async {
                stop.wished().await;
                tracing::info!("ending");
                close.send_replace(true);
            },
        );
    };
    let ended = tokio::select! {
        () = work => Ok(()),
        error = follower.run() => Err(anyhow!(error).context("the store cannot be followed any more")),
    };
    crate::socket::remove(&layout.socket())?;
    drop(post);
    ended
}

/// Gives back the seat of the controller that a control plane before this one left behind. The store is a file of the
/// data directory, which this process holds alone: whoever had the seat is gone, and nobody need wait for its lease.
async fn free_seat(store: &impl Elections) -> anyhow::Result<()> {
    let lease = match store.campaign(Seat::Controller, "start", FREE_TERM).await? {
        Campaign::Won(lease) | Campaign::Held(lease) => lease,
    };
    Ok(store.resign(Seat::Controller, lease.epoch).await?)
}

/// The routes of git, its repositories and what does its work.
async fn open_git(
    arguments: &ServeArguments,
    layout: &Layout,
    store: &Arc<Truth>,
    deployer: Deployer<Truth>,
    readiness: Readiness,
) -> anyhow::Result<(Router, Repositories, GitDriver)> {
    make_folder(&layout.spool(), 0o700)?;
    let user = arguments.git_user()?;
    let program = git::hook_program(layout, user.as_ref())?;
    let hook = HookCommand { program, args: vec![OsString::from("git-hook")] };
    let mut settings = GitSettings::new(layout.repositories(), layout.git(), hook, Intake::new(layout.spool()));
    settings.hooks = layout.hooks();
    settings.user = user.map(|user| GitUser { uid: user.uid(), gid: user.gid() });
    let authority = Arc::new(TokenAuthority::new(store.clone(), readiness));
    let (service, driver) = flynn_build::git::open(settings, authority, Arc::new(deployer))?;
    git::repair(&**store, service.repositories()).await?;
    let repositories = service.repositories().clone();
    Ok((Router::new().route_service("/git/{*rest}", service), repositories, driver))
}

/// Sees to it that the router, which may start before the agent, never connects to a stranger at an address that an
/// instance had before a restart of the machine.
async fn reserve_addresses(arguments: &ServeArguments, layout: &Layout) -> anyhow::Result<()> {
    // Where there is this folder, the node is cleared, and this with it.
    make_folder(&layout.node(), 0o711)?;
    let subnet = match arguments.subnet {
        Some(given) => given,
        None => layout.names().subnet().parse()?,
    };
    let reserved = BridgeNetwork::reserve(&layout.names().bridge(), subnet).await;
    reserved.with_context(|| format!("the addresses of apps, {subnet}, cannot be kept on this machine"))
}

/// What keeps the other processes of the instance running.
async fn keep_children(
    arguments: &ServeArguments,
    layout: &Layout,
    store: &Arc<Truth>,
    closing: &Closing,
) -> anyhow::Result<impl Future<Output = ()>> {
    let mut children = Vec::new();
    if !arguments.no_children {
        let router_user = arguments.router_user()?;
        let machine = Machine::enter(&**store, layout, arguments, router_user.as_ref()).await?;
        make_folder(&layout.log(), 0o750)?;
        reserve_addresses(arguments, layout).await?;
        children = programs(arguments, layout, &machine, router_user.as_ref())?;
    }
    let (replace, closing, log) = (arguments.restart_children, closing.clone(), layout.log());
    Ok(async move {
        if children.is_empty() {
            return;
        }
        let mut tasks = tokio::task::JoinSet::new();
        for child in children {
            tasks.spawn(supervise(child, replace, closing.clone()));
        }
        bound_logs(&log, closing).await;
        while tasks.join_next().await.is_some() {}
    })
}

#[cfg(test)]
mod tests {
    use flynn_core::{Clock, MemoryStore, Retention};

    use super::*;

    #[tokio::test]
    async fn the_seat_of_a_predecessor_is_free_at_once_and_its_epoch_is_over() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = MemoryStore::new(clock, Retention::default());
        let term = Duration::from_secs(600);
        let Campaign::Won(before) = store.campaign(Seat::Controller, "before", term).await.unwrap() else {
            panic!("the seat of a new store is free");
        };
        free_seat(&store).await.unwrap();
        let after = store.campaign(Seat::Controller, "after", term).await.unwrap();
        assert!(matches!(&after, Campaign::Won(lease) if lease.epoch > before.epoch), "{after:?}");
    }
}
