//! Runs the agent and everything beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use flynn_core::TokenSecret;
use flynn_core::client::{Credential, JobEnvs, RemoteBlobs, RemoteOptions, RemoteStore, link};
use flynn_instance::crash::{CrashPoints, Watched, WatchedRuntime};
use flynn_instance::{Post, Record, Stop, User};
use flynn_runtime::Resolvers;
use flynn_runtime::agent::{Agent, AgentOptions, AgentParts};
use flynn_runtime::logs::{Logs, LogsOptions};
use flynn_runtime::machine::node_status;
use tokio::sync::watch;

use crate::arguments::ServeArguments;
use crate::builds::Builds;
use crate::collect;
use crate::environments::FromControl;
use crate::machinery::{Machinery, Ways};
use crate::paths::Paths;

/// Where a node says whom to ask for names: the second is what a resolver on the node itself asks.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Serves until it is told to end. Containers go on.
pub(crate) fn run(arguments: ServeArguments) -> anyhow::Result<()> {
    anyhow::ensure!(User::is_root(), "containers and networks need root: start it as root");
    if arguments.own_session {
        // Refused to the leader of a group only, who is in nobody's way.
        let _ = rustix::process::setsid();
    }
    let mut post = arguments.post.as_deref().map(Post::take).transpose()?;
    flynn_instance::start_logging(arguments.log_level);
    flynn_instance::raise_open_files();
    if let Some(post) = &mut post {
        post.sign(&Record::own(env!("CARGO_PKG_VERSION"))?)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(arguments));
    drop(post);
    served
}

async fn serve(arguments: ServeArguments) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let layout = arguments.place.layout()?;
    let paths = Paths::of(&layout);
    let credential = credential(arguments.token_file.as_deref())?;
    let (endpoint, options) = (arguments.store.clone(), RemoteOptions::default());
    let crash = CrashPoints::of("flynn-host", arguments.crash_points.as_deref());
    let remote = Arc::new(RemoteStore::connect(endpoint.clone(), credential.clone())?);
    let store = Arc::new(Watched::new(remote.clone(), &crash));
    let blobs = Arc::new(RemoteBlobs::connect(endpoint.clone(), credential.clone(), options.clone())?);
    let blobs = Arc::new(Watched::new(blobs, &crash));
    let environments = JobEnvs::connect(endpoint.clone(), credential.clone(), options.clone())?;

    let resolvers = Resolvers::of_node(&RESOLVERS.map(Path::new)).context("the node's resolvers cannot be read")?;
    let resolvers = Some(resolvers).filter(|resolvers| !resolvers.servers.is_empty());
    let ways = Ways::of(&arguments.egress, resolvers.as_ref());
    let machinery = Machinery::open(&arguments.place, &layout, blobs, ways, &crash).await?;
    let resolv_conf = show_resolvers(&paths.shown(), resolvers.as_ref())?;
    let (name, environments) = (arguments.node_name.clone(), Arc::new(FromControl(environments)));
    let workplace = machinery.workplace(name, resolvers, arguments.builds.authorities(), environments).await?;
    let runtime = machinery.jobs.runtime.clone();
    let logs = Arc::new(Logs::open(LogsOptions::new(paths.logs()), runtime.clone())?);
    machinery.sweep_builds().await?;
    let Builds { worker, bases, made } =
        Builds::open(&arguments.builds, arguments.node, &machinery, resolv_conf, store.clone(), logs.clone())?;
    let status = node_status(layout.data(), env!("CARGO_PKG_VERSION")).context("the machine cannot be looked at")?;
    let agent = Agent::new(
        AgentParts {
            store: store.clone(),
            presence: remote,
            runtime: Arc::new(WatchedRuntime::of_jobs(runtime, &crash)),
            workplace: Arc::new(Watched::new(Arc::new(workplace), &crash)),
            logs: logs.clone(),
            clock: machinery.clock.clone(),
        },
        AgentOptions::new(arguments.node, status),
    );
    tracing::info!(node = %arguments.node, name = %arguments.node_name, store = %arguments.store, "serving");

    let ending = watch::Sender::new(false);
    let ended = || {
        let mut ending = ending.subscribe();
        async move { drop(ending.wait_for(|ending| *ending).await) }
    };
    let handler = agent.link();
    let work = async {
        tokio::try_join!(
            async { agent.run(ended()).await.map_err(anyhow::Error::from) },
            async { worker.run(ended()).await.map_err(anyhow::Error::from) },
            async {
                bases.run(ended()).await;
                Ok(())
            },
            async {
                let snapshots = &*machinery.builds.snapshots;
                collect::run(&machinery.images, snapshots, &*store, arguments.node, &made, ended()).await;
                Ok(())
            },
            async {
                let served = link::serve(endpoint, credential, options, arguments.node, handler, ended()).await;
                served.map_err(anyhow::Error::from)
            },
            async {
                stop.wished().await;
                tracing::info!("ending; containers go on");
                ending.send_replace(true);
                Ok(())
            },
        )
    };
    let served = work.await.map(drop);
    logs.flush().await;
    served
}

fn credential(token_file: Option<&Path>) -> anyhow::Result<Credential> {
    let Some(path) = token_file else { return Ok(Credential::Socket) };
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("the token file {} cannot be read", path.display()))?;
    let secret: TokenSecret = text.trim().parse().with_context(|| format!("the token file {}", path.display()))?;
    Ok(Credential::Token(secret))
}

/// Whom builds ask for names: the same servers as apps, as a file that they are shown. None if the node has no server
/// that containers can reach.
fn show_resolvers(folder: &Path, resolvers: Option<&Resolvers>) -> anyhow::Result<Option<PathBuf>> {
    let Some(resolvers) = resolvers else { return Ok(None) };
    let path = folder.join("resolv.conf");
    let text = resolvers.to_string();
    // Containers see this very file, and a write to a full disk would leave it empty.
    if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(Some(path));
    }
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
    written.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(Some(path))
}
