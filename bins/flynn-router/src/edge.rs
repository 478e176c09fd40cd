use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use flynn_core::SystemClock;
use flynn_instance::{Post, Record, Stop, User};
use flynn_router::access::{AccessLog, NoAccessLog};
use flynn_router::proxy::{Proxy, ProxySettings};
use flynn_router::table::ShardedTable;
use tokio::sync::watch;

use crate::access;
use crate::arguments::Arguments;
use crate::source::Source;

/// A router that has all it needs and no more rights than that.
pub(crate) struct Edge {
    arguments: Arguments,
    source: Source,
    /// Where the access log goes, if there is one.
    output: Option<Box<dyn Write + Send>>,
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
        let source = Source::prepare(&arguments)?;
        let listener = flynn_instance::bind(arguments.http, "--http")?;
        let output = match arguments.no_access_log {
            true => None,
            false => Some(access::open(arguments.access_log.as_deref())?),
        };
        if let Some(directory) = &arguments.directory {
            // Who may not pass the folders above it can still use the folder that they are in.
            std::env::set_current_dir(directory)
                .with_context(|| format!("the folder {} cannot be used", directory.display()))?;
        }
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
        Ok(Self { arguments, source, output, listener, post })
    }

    /// Serves until it is told to end.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        flynn_instance::start_logging(self.arguments.log_level);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<()> {
        let Self { arguments, source, output, listener, post } = self;
        let mut stop = Stop::listen()?;
        let table = Arc::new(ShardedTable::new());
        let served = watch::Sender::new(false);
        let follow = source.start(table.clone(), served.subscribe()).await?;
        let (log, writer): (Arc<dyn AccessLog>, _) = match output.map(access::start).transpose()? {
            Some((log, writer)) => (Arc::new(log), Some(writer)),
            None => (Arc::new(NoAccessLog), None),
        };
        let proxy = Proxy::new(table, log, Arc::new(SystemClock), settings(&arguments));
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tracing::info!(address = %listener.local_addr()?, "serving");
        let serve = async {
            let drained = proxy.serve(listener, stop.wished()).await;
            served.send_replace(true);
            drained
        };
        let ((), drained) = tokio::join!(follow, serve);
        drop(proxy);
        if let Some(writer) = writer {
            tokio::task::spawn_blocking(|| writer.finish()).await?;
        }
        tracing::info!(cut = drained.cut, "ended");
        drop(post);
        Ok(())
    }
}

fn settings(arguments: &Arguments) -> ProxySettings {
    let mut settings = ProxySettings::default();
    settings.drain = Duration::from_secs(arguments.drain);
    settings.connections = arguments.connections.unwrap_or(settings.connections);
    settings.body_bytes = arguments.body_limit;
    settings.https_port = arguments.https_port;
    settings
}
