//! Where the routes come from: a control plane, or a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use flynn_core::client::{Credential, Endpoint, RemoteStore};
use flynn_core::noun::RouterId;
use flynn_core::{Clock, Ids, SystemClock, TokenSecret};
use flynn_instance::crash::{CrashPoints, Watched};
use flynn_router::config::ConfigFollower;
use flynn_router::follow::{FollowSettings, RouteFollower};
use flynn_router::table::ShardedTable;
use tokio::sync::watch;

use crate::arguments::Arguments;
use crate::membership;

/// The last known table, in the router's folder.
const TABLE: &str = "table.json";

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

    /// Keeps `table` until the router has served its last request. A file has to be good at the start.
    pub(crate) async fn start(
        self,
        table: Arc<ShardedTable>,
        served: watch::Receiver<bool>,
    ) -> anyhow::Result<impl Future<Output = ()>> {
        let until_served =
            |mut served: watch::Receiver<bool>| async move { drop(served.wait_for(|served| *served).await) };
        enum Started {
            File(ConfigFollower),
            ControlPlane(RemoteStore, RouterId, CrashPoints),
        }
        let started = match self {
            Self::File(path) => {
                let mut follower = ConfigFollower::new(path, table.clone());
                follower.load().await?;
                Started::File(follower)
            }
            Self::ControlPlane { store, router, credential, crash } => {
                Started::ControlPlane(RemoteStore::connect(store, credential)?, router, crash)
            }
        };
        Ok(async move {
            let (store, router, crash) = match started {
                Started::File(follower) => return follower.run(until_served(served)).await,
                Started::ControlPlane(store, router, crash) => (Arc::new(store), router, crash),
            };
            let clock = Arc::new(SystemClock);
            let incarnation = Ids::from_entropy().next::<()>(clock.now()).to_string();
            let settings = FollowSettings::new(router, incarnation).with_file(TABLE);
            let watched = Arc::new(Watched::new(store.clone(), &crash));
            let follower = RouteFollower::new(watched.clone(), watched, table, clock, settings);
            let follow = async {
                // Whoever may not read any more still serves what was known.
                if let Err(error) = follower.run(until_served(served.clone())).await {
                    let error = anyhow::Error::from(error);
                    tracing::error!("routes are not followed any more, the last table is served: {error:#}");
                }
            };
            let announce = async {
                tokio::select! {
                    () = membership::announce(&store, router) => {}
                    () = until_served(served.clone()) => {}
                }
            };
            tokio::join!(follow, announce);
        })
    }
}

fn credential(path: Option<&Path>) -> anyhow::Result<Credential> {
    let Some(path) = path else { return Ok(Credential::Socket) };
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("the token file {} cannot be read", path.display()))?;
    let secret: TokenSecret = text.trim().parse().with_context(|| format!("the token file {}", path.display()))?;
    Ok(Credential::Token(secret))
}
