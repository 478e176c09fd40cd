use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_build::git::{
    Access, AccessDenied, AppRef, Credentials, GitAuthority, GitService, GitSettings, HookCommand, PushContext, open,
};
use flynn_build::source::Intake;
use flynn_core::{AppId, Principal};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::client::Client;
use crate::handler::Scripted;

/// The id of the app `web`.
pub(crate) const APP: &str = "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b";
pub(crate) const TOKEN: &str = "sesame";

/// Knows one app and one token; the token `reader` may only fetch.
struct Gatekeeper;

#[async_trait]
impl GitAuthority for Gatekeeper {
    async fn authorize(
        &self,
        credentials: Option<&Credentials>,
        app: &AppRef,
        access: Access,
    ) -> Result<PushContext, AccessDenied> {
        let token = match credentials {
            Some(Credentials::Basic { password, .. }) => password.as_str(),
            Some(Credentials::Bearer(token)) => token.as_str(),
            None => "",
        };
        if ![TOKEN, "reader"].contains(&token) {
            return Err(AccessDenied::Unauthenticated { help: "log in with `flynn login`, then push again".into() });
        }
        let id: AppId = APP.parse().unwrap();
        if *app != AppRef::Id(id) && app.to_string() != "web" {
            return Err(AccessDenied::UnknownApp);
        }
        if token == "reader" && access == Access::Push {
            return Err(AccessDenied::Forbidden { reason: "it takes the role of a developer".into() });
        }
        Ok(PushContext { app: id, principal: Principal::System })
    }
}

/// A git service that is served on loopback, and a folder for everything.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) handler: Arc<Scripted>,
    pub(crate) service: GitService,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    driver: JoinHandle<()>,
    server: JoinHandle<Infallible>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GitSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hook = HookCommand { program: PathBuf::from(env!("CARGO_BIN_EXE_git-hook")), args: Vec::new() };
        let at = |name| folder.path().join(name);
        std::fs::create_dir(at("spool")).unwrap();
        let mut settings = GitSettings::new(at("repositories"), at("run"), hook, Intake::new(at("spool")));
        change(&mut settings);
        let handler = Scripted::new();
        let (service, driver) = open(settings, Arc::new(Gatekeeper), handler.clone()).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let driver = tokio::spawn(driver.run(async { drop(stopped.await) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, service.clone()));
        Self { folder, handler, service, address, stop: Some(stop), driver, server }
    }

    /// A client with a repository that has this service as its remote `flynn`.
    pub(crate) async fn client(&self) -> Client {
        Client::new(self.folder.path(), &self.url("web", TOKEN)).await
    }

    pub(crate) fn url(&self, app: &str, token: &str) -> String {
        format!("http://user:{token}@{}/git/{app}.git", self.address)
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.path().join(format!("repositories/{APP}.git"))
    }

    /// Asks the service to stop.
    pub(crate) fn stop(&mut self) {
        self.stop = None;
    }

    /// Stops the service, which waits for its pushes, and looks at what is left.
    pub(crate) async fn close(mut self) {
        self.stop();
        tokio::time::timeout(Duration::from_secs(20), self.driver).await.expect("the driver stops").unwrap();
        self.server.abort();
        assert!(!self.folder.path().join("run/git.sock").exists(), "the socket is gone");
        until("no process is left", || processes_in(self.folder.path()).is_empty()).await;
        let spooled: Vec<_> = std::fs::read_dir(self.folder.path().join("spool")).unwrap().collect();
        assert!(spooled.is_empty(), "{spooled:?}");
    }
}

async fn serve(listener: TcpListener, service: GitService) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                let service = TowerToHyperService::new(service.clone());
                let builder = hyper::server::conn::http1::Builder::new();
                connections.spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
            // A connection that a client breaks off is an error of that connection only.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The processes whose working folder lies in `folder`.
pub(crate) fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path().join("cwd")).ok())
        .filter(|cwd| cwd.starts_with(folder))
        .collect()
}

/// Waits until `condition` holds, which is within seconds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in vain for 20 seconds: {what}");
}
