use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use flynn_core::SystemClock;
use flynn_instance::{Post, Record, Stop, User};
use flynn_router::access::{AccessLog, NoAccessLog};
use flynn_router::proxy::{Engine, Proxy, ProxySettings};
use flynn_router::table::ShardedTable;
use flynn_router::tls::{CertificateTable, Tls, TlsSettings};
use tokio::sync::watch;

use crate::access;
use crate::access_file::AccessFile;
use crate::arguments::{Arguments, EngineChoice};
use crate::source::Source;
use crate::workers::{self, Workers};

/// A router that has all it needs and no more rights than that.
pub(crate) struct Edge {
    arguments: Arguments,
    source: Source,
    /// Where the access log goes, if there is one.
    output: Option<Box<dyn Write + Send>>,
    listeners: Vec<TcpListener>,
    /// Those for HTTPS.
    secured: Vec<TcpListener>,
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
        let threads = match arguments.workers {
            Some(count) => count,
            None => std::thread::available_parallelism()?,
        };
        let listeners = workers::listeners(arguments.http, "--http", threads.get())?;
        let secured = match arguments.https {
            Some(address) => workers::listeners(address, "--https", threads.get())?,
            None => Vec::new(),
        };
        let log = arguments.access_log.as_deref();
        // What is in the router's folder is its own to open.
        let own_log = log.and_then(|path| path.strip_prefix(arguments.directory.as_deref()?).ok());
        let mut output: Option<Box<dyn Write + Send>> = match (arguments.no_access_log, log) {
            (true, _) => None,
            (false, None) => Some(Box::new(std::io::stdout())),
            (false, Some(_)) if own_log.is_some() => None,
            (false, Some(path)) => Some(Box::new(AccessFile::open(path)?)),
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
        if let Some(path) = own_log {
            output = Some(Box::new(AccessFile::open(path)?));
        }
        if let Some(post) = &mut post {
            let mut record = Record::own(env!("CARGO_PKG_VERSION"))?;
            for (name, listeners) in [("http", &listeners), ("https", &secured)] {
                if let Some(first) = listeners.first() {
                    record = record.listening(name, first.local_addr()?);
                }
            }
            post.sign(&record)?;
        }
        Ok(Self { arguments, source, output, listeners, secured, post })
    }

    /// Serves until it is told to end.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        flynn_instance::start_logging(self.arguments.log_level);
        flynn_instance::raise_open_files();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<()> {
        let Self { arguments, source, output, listeners, secured, post } = self;
        let mut stop = Stop::listen()?;
        let table = Arc::new(ShardedTable::new());
        let certificates = (!secured.is_empty()).then(|| Arc::new(CertificateTable::new()));
        let served = watch::Sender::new(false);
        let follow = source.start(table.clone(), certificates.clone(), served.subscribe()).await?;
        let (log, writer): (Arc<dyn AccessLog>, _) = match output.map(access::start).transpose()? {
            Some((log, writer)) => (Arc::new(log), Some(writer)),
            None => (Arc::new(NoAccessLog), None),
        };
        let address = |of: &[TcpListener]| of.first().map(TcpListener::local_addr).transpose();
        let (http, https) = (address(&listeners)?, address(&secured)?);
        let mut settings = settings(&arguments);
        settings.https_port = arguments.https_port.or(https.map(|address| address.port()));
        let proxy = Proxy::new(table, log, Arc::new(SystemClock), settings);
        let tls = certificates.map(|certificates| Tls::new(certificates, TlsSettings::default())).transpose()?;
        let stopping = watch::Sender::new(false);
        let workers = Workers::start(&proxy, listeners, tls.as_ref(), secured, &stopping.subscribe())?;
        tracing::info!(
            address = http.map(tracing::field::display),
            https = https.map(tracing::field::display),
            "serving"
        );
        let serve = async {
            stop.wished().await;
            stopping.send_replace(true);
            let drained = workers.ended().await;
            served.send_replace(true);
            drained
        };
        let ((), drained) = tokio::join!(follow, serve);
        let drained = drained?;
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
    settings.engine = match arguments.engine {
        EngineChoice::Direct => Engine::Direct,
        EngineChoice::Reference => Engine::Reference,
    };
    settings.drain = Duration::from_secs(arguments.drain);
    settings.connections = arguments.connections.unwrap_or(settings.connections);
    settings.body_bytes = arguments.body_limit;
    settings
}
