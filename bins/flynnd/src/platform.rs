//! Puts the parts of the control plane together and runs them.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::Router;
use flynn_build::collect::{CollectSettings, Collector};
use flynn_build::git::{GitDriver, GitSettings, GitUser, HookCommand};
use flynn_build::source::Intake;
use flynn_core::local::DirBlobs;
use flynn_core::port::{Blobs, KeyRing};
use flynn_core::server::api::{self, ApiOptions, ApiState, Edge};
use flynn_core::server::link::{LinkOptions, Links};
use flynn_core::server::peer::{self, BlobOptions, PeerOptions};
use flynn_core::server::{Authenticator, FirstOf, SocketAuthenticator, TokenAuthenticator};
use flynn_core::sqlite::{SqliteOptions, SqliteStore};
use flynn_core::{Ids, MemoryPresence, MemorySamples, Scope, SystemClock, View};
use flynn_instance::{Layout, Stop};
use flynn_sched::{Config, Controller};
use tokio::time::sleep;

use crate::arguments::ServeArguments;
use crate::children::{bound_logs, programs, supervise};
use crate::claim::{Claim, make_folder};
use crate::closing::Closing;
use crate::git::{Deployer, TokenAuthority};
use crate::machine::Machine;
use crate::sources::Uploads;
use crate::{git, keys, serve};

/// How long pushes may go on after the end of service has begun. What they began goes on without them.
const LAST_PUSHES: Duration = Duration::from_secs(10);
/// The wait before a controller that ended is run again.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs the control plane until it is told to end.
pub(crate) fn run(arguments: ServeArguments) -> anyhow::Result<()> {
    let claim = Claim::take(&arguments)?;
    flynn_instance::start_logging(arguments.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(control(arguments, claim))
}

async fn control(arguments: ServeArguments, claim: Claim) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let layout = &claim.layout;
    let keys = Arc::new(keys::open(layout)?);
    let store = Arc::new(SqliteStore::open(SqliteOptions::new(layout.store())).await?);
    let ended = serve_all(&arguments, claim, store.clone(), keys, &mut stop).await;
    store.close().await;
    tracing::info!("ended");
    ended
}

async fn serve_all(
    arguments: &ServeArguments,
    claim: Claim,
    store: Arc<SqliteStore>,
    keys: Arc<dyn KeyRing>,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let Claim { layout, listener, socket, post } = claim;
    let clock = Arc::new(SystemClock);
    let blobs: Arc<dyn Blobs> = Arc::new(DirBlobs::open(layout.blobs(), clock.clone()).await?);
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
    api_options.build_resources = git::BUILD;
    // A port that the system chooses is known to the router alone.
    let edge = Some(arguments.http.port()).filter(|port| *port != 0).map(Edge::http);
    api_options.edge = edge.clone();
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
    let environments = peer::environment_routes(store.clone(), keys, authenticator, clock.clone());

    let collector = Collector::new(store.clone(), blobs.clone(), clock.clone(), CollectSettings::default());
    let deployer = Deployer { store: store.clone(), view, blobs, link: links, edge };
    let (pushes, git_driver) = open_git(arguments, &layout, &store, deployer).await?;
    let routes = public.merge(peers).merge(content).merge(environments).merge(ways).merge(pushes);

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
            serve::network(listener, routes.clone(), closing.clone()),
            serve::machine(socket, routes.clone(), closing.clone()),
            push,
            control,
            collector.run(closing.begun()),
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

/// The routes of git and what does its work.
async fn open_git(
    arguments: &ServeArguments,
    layout: &Layout,
    store: &Arc<SqliteStore>,
    deployer: Deployer<SqliteStore>,
) -> anyhow::Result<(Router, GitDriver)> {
    make_folder(&layout.spool(), 0o700)?;
    let program = std::env::current_exe().context("it cannot be found out where this program is")?;
    let hook = HookCommand { program, args: vec![OsString::from("git-hook")] };
    let mut settings = GitSettings::new(layout.repositories(), layout.git(), hook, Intake::new(layout.spool()));
    settings.user = arguments.git_user.as_ref().map(|user| GitUser { uid: user.uid(), gid: user.gid() });
    let authority = Arc::new(TokenAuthority::new(store.clone()));
    let (service, driver) = flynn_build::git::open(settings, authority, Arc::new(deployer))?;
    git::repair(&**store, service.repositories()).await?;
    Ok((Router::new().route_service("/git/{*rest}", service), driver))
}

/// What keeps the other processes of the instance running.
async fn keep_children(
    arguments: &ServeArguments,
    layout: &Layout,
    store: &Arc<SqliteStore>,
    closing: &Closing,
) -> anyhow::Result<impl Future<Output = ()>> {
    let mut children = Vec::new();
    if !arguments.no_children {
        let router_user = arguments.router_user()?;
        let machine = Machine::enter(&**store, layout, arguments, router_user.as_ref()).await?;
        make_folder(&layout.log(), 0o750)?;
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
