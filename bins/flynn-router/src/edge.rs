use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use flynn_core::client::{Credential, RemoteStore};
use flynn_core::{Clock, Ids, SystemClock, TokenSecret};
use flynn_instance::{Post, Record, Stop, User};
use flynn_router::follow::{FollowSettings, RouteFollower};
use flynn_router::proxy::{Proxy, ProxySettings};
use flynn_router::table::ShardedTable;
use tokio::sync::watch;

use crate::access;
use crate::arguments::Arguments;
use crate::membership;

/// The last known table, in the router's folder.
const TABLE: &str = "table.json";

/// A router that has all it needs and no more rights than that.
pub(crate) struct Edge {
    arguments: Arguments,
    credential: Credential,
    output: Box<dyn Write + Send>,
    listener: TcpListener,
    post: Option<Post>,
}

impl Edge {
    /// Takes what only root may, then gives up being root. Nothing runs beside it yet.
    pub(crate) fn prepare(arguments: Arguments) -> anyhow::Result<Self> {
        if arguments.own_session {
            // Refused to the leader of a group only, who is in nobody's way.
            let _ = rustix::process::setsid();
        }
        let mut post = arguments.post.as_deref().map(Post::take).transpose()?;
        let credential = credential(&arguments)?;
        let listener = flynn_instance::bind(arguments.http, "--http")?;
        let output = access::open(arguments.access_log.as_deref())?;
        // Who may not pass the folders above it can still use the folder that they are in.
        std::env::set_current_dir(&arguments.directory)
            .with_context(|| format!("the folder {} cannot be used", arguments.directory.display()))?;
        if let Some(user) = &arguments.user
            && !user.is_own()
        {
            anyhow::ensure!(
                User::is_root(),
                "only root can become the user {user}: start it as root, or without --user"
            );
            user.become_it().with_context(|| format!("it cannot become the user {user}"))?;
        }
        if let Some(post) = &mut post {
            post.sign(&Record::own(env!("CARGO_PKG_VERSION"))?.listening("http", listener.local_addr()?))?;
        }
        Ok(Self { arguments, credential, output, listener, post })
    }

    /// Serves until it is told to end.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        flynn_instance::start_logging(self.arguments.log_level);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<()> {
        let Self { arguments, credential, output, listener, post } = self;
        let mut stop = Stop::listen()?;
        let store = Arc::new(RemoteStore::connect(arguments.store.clone(), credential)?);
        let (table, clock) = (Arc::new(ShardedTable::new()), Arc::new(SystemClock));
        let incarnation = Ids::from_entropy().next::<()>(clock.now()).to_string();
        let follow = FollowSettings::new(arguments.router, incarnation).with_file(TABLE);
        let follower = RouteFollower::new(store.clone(), store.clone(), table.clone(), clock.clone(), follow);
        let (log, writer) = access::start(output)?;
        let mut settings = ProxySettings::default();
        settings.drain = Duration::from_secs(arguments.drain);
        let proxy = Proxy::new(table, Arc::new(log), clock, settings);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tracing::info!(address = %listener.local_addr()?, router = %arguments.router, store = %arguments.store, "serving");

        let served = watch::Sender::new(false);
        let until_served =
            |mut served: watch::Receiver<bool>| async move { drop(served.wait_for(|served| *served).await) };
        let follow = async {
            // Whoever may not read any more still serves what was known.
            if let Err(error) = follower.run(until_served(served.subscribe())).await {
                let error = anyhow::Error::from(error);
                tracing::error!("routes are not followed any more, the last table is served: {error:#}");
            }
        };
        let announce = async {
            tokio::select! {
                () = membership::announce(&store, arguments.router) => {}
                () = until_served(served.subscribe()) => {}
            }
        };
        let serve = async {
            let drained = proxy.serve(listener, stop.wished()).await;
            served.send_replace(true);
            drained
        };
        let ((), (), drained) = tokio::join!(follow, announce, serve);
        drop(proxy);
        tokio::task::spawn_blocking(|| writer.finish()).await?;
        tracing::info!(cut = drained.cut, "ended");
        drop(post);
        Ok(())
    }
}

fn credential(arguments: &Arguments) -> anyhow::Result<Credential> {
    let Some(path) = &arguments.token_file else { return Ok(Credential::Socket) };
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("the token file {} cannot be read", path.display()))?;
    let secret: TokenSecret = text.trim().parse().with_context(|| format!("the token file {}", path.display()))?;
    Ok(Credential::Token(secret))
}
