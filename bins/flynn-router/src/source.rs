//! Where the routes come from: a control plane, or a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use flynn_core::client::{CertificateKeys, Credential, Endpoint, RemoteOptions, RemoteStore};
use flynn_core::noun::{Objects, RouterId};
use flynn_core::port::Secret;
use flynn_core::{Clock, Ids, SystemClock, TokenSecret};
use flynn_instance::crash::{CrashPoints, Watched};
use flynn_router::config::ConfigFollower;
use flynn_router::follow::{FollowSettings, RouteFollower};
use flynn_router::table::ShardedTable;
use flynn_router::tls::{CertificateFile, CertificateFollower, CertificateTable};
use tokio::sync::watch;

use crate::arguments::Arguments;
use crate::certificate_keys::FromControl;
use crate::membership;

/// The last known table, in the router's folder.
const TABLE: &str = "table.json";
/// The last known certificates, beside it.
const CERTIFICATES: &str = "certificates.json";

pub(crate) enum Source {
    File(PathBuf),
    ControlPlane { store: Endpoint, router: RouterId, credential: Credential, crash: CrashPoints },
}

impl Source {
    /// Takes what only root may read, and goes to the router's folder.
    pub(crate) fn prepare(arguments: &Arguments) -> anyhow::Result<Self> {
        if let Some(config) = &arguments.config {
            return Ok(Self::File(config.clone()));
        }
        let router = arguments.router.context("--router is missing")?;
        let credential = credential(arguments.token_file.as_deref())?;
        let crash = CrashPoints::of("flynn-router", arguments.crash_points.as_deref());
        Ok(Self::ControlPlane { store: arguments.store.clone(), router, credential, crash })
    }

    /// Keeps `table` and `certificates` until the router has served its last request. A file has to be good at the start.
    pub(crate) async fn start(
        self,
        table: Arc<ShardedTable>,
        certificates: Option<Arc<CertificateTable>>,
        served: watch::Receiver<bool>,
    ) -> anyhow::Result<impl Future<Output = ()>> {
        let until_served =
            |mut served: watch::Receiver<bool>| async move { drop(served.wait_for(|served| *served).await) };
        enum Started {
            File(Box<ConfigFollower>),
            ControlPlane(Box<Followers>),
        }
        let started = match self {
            Self::File(path) => {
                let mut follower = ConfigFollower::new(path, table.clone());
                if let Some(certificates) = certificates {
                    follower = follower.with_certificates(certificates);
                }
                follower.load().await?;
                Started::File(Box::new(follower))
            }
            Self::ControlPlane { store, router, credential, crash } => {
                let secured = certificates.map(|table| Secured::new(table, &store, &credential)).transpose()?;
                let store = Arc::new(RemoteStore::connect(store, credential)?);
                let clock = Arc::new(SystemClock);
                let incarnation = Ids::from_entropy().next::<()>(clock.now()).to_string();
                let settings = FollowSettings::new(router, incarnation).with_file(TABLE);
                let watched = Arc::new(Watched::new(store.clone(), &crash));
                let mut follower = RouteFollower::new(watched.clone(), watched, table, clock, settings);
                follower.restore().await;
                let mut secured = secured.map(|secured| secured.follower(follower.objects()));
                if let Some(secured) = &mut secured {
                    secured.restore().await;
                }
                Started::ControlPlane(Box::new(Followers { store, router, routes: follower, secured }))
            }
        };
        Ok(async move {
            let Followers { store, router, routes, secured } = match started {
                Started::File(follower) => return follower.run(until_served(served)).await,
                Started::ControlPlane(followers) => *followers,
            };
            let secure = async {
                if let Some(secured) = secured {
                    secured.run(until_served(served.clone())).await;
                }
            };
            let follow = routes.run(until_served(served.clone()));
            let announce = async {
                tokio::select! {
                    () = membership::announce(&store, router) => {}
                    () = until_served(served.clone()) => {}
                }
            };
            tokio::join!(follow, announce, secure);
        })
    }
}

/// What follows the control plane.
struct Followers {
    store: Arc<RemoteStore>,
    router: RouterId,
    routes: RouteFollower<Watched<RemoteStore>>,
    secured: Option<CertificateFollower>,
}

/// What certificates are served from.
struct Secured {
    table: Arc<CertificateTable>,
    keys: FromControl,
    /// What the keys on disk are sealed by. Without a token they are not kept there.
    secret: Option<Secret>,
}

impl Secured {
    fn new(table: Arc<CertificateTable>, store: &Endpoint, credential: &Credential) -> anyhow::Result<Self> {
        let keys = CertificateKeys::connect(store.clone(), credential.clone(), RemoteOptions::default())?;
        let secret = match credential {
            Credential::Token(token) => Some(Secret::new(token.reveal().as_bytes())),
            _ => None,
        };
        Ok(Self { table, keys: FromControl(keys), secret })
    }

    fn follower(self, objects: watch::Receiver<Option<Objects>>) -> CertificateFollower {
        let follower = CertificateFollower::new(objects, Arc::new(self.keys), self.table);
        match self.secret {
            Some(secret) => follower.with_file(CertificateFile::new(CERTIFICATES, &secret)),
            None => follower,
        }
    }
}

fn credential(path: Option<&Path>) -> anyhow::Result<Credential> {
    let Some(path) = path else { return Ok(Credential::Socket) };
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("the token file {} cannot be read", path.display()))?;
    let secret: TokenSecret = text.trim().parse().with_context(|| format!("the token file {}", path.display()))?;
    Ok(Credential::Token(secret))
}
