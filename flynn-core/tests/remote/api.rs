//! The streams of the public API, over real sockets, to nodes whose processes are pipes.

mod events;
mod logs;
mod node;
mod terminals;

use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::api::Problem;
use flynn_core::client::{Api, Credential};
use flynn_core::conformance::token_secret;
use flynn_core::local::FileKeyRing;
use flynn_core::noun::{AppStatus, Job, JobId, JobState, JobStatus, Role, TokenId};
use flynn_core::port::{BlobReader, Store};
use flynn_core::server::api::{ApiOptions, ApiState, SourceIntake, Streams, router};
use flynn_core::server::link::{LinkOptions, Links};
use flynn_core::value::Digest;
use flynn_core::{AppId, Change, Clock, MemoryBlobs, MemoryPresence, MemoryStore, Scope, View};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::harness::Server;
use super::people::member;
use super::site::{Local, Site, authenticator, local};

/// Nothing is uploaded here.
struct NoSources;

#[async_trait]
impl SourceIntake for NoSources {
    async fn take(&self, _: AppId, _: BlobReader) -> Result<Digest, Problem> {
        Err(Problem::new(503, "unavailable", "Unavailable", "no sources are taken"))
    }
}

/// An API with its links, and a view that is followed.
struct Served {
    site: Site,
    links: Links,
    streams: Streams,
    view: View,
    follower: JoinHandle<()>,
    _files: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Served {
    async fn new() -> Self {
        Self::of(local().await).await
    }

    async fn of(world: Local) -> Self {
        let files = tempfile::tempdir().unwrap();
        let store: Arc<MemoryStore> = world.store.clone();
        let (view, follower) = View::open(store.clone(), Scope::All).await.unwrap();
        let follower = tokio::spawn(async move { drop(follower.run().await) });
        let links = Links::new(LinkOptions::default().with_clock(world.clock.clone()));
        let options = ApiOptions::new("apps.example".parse().unwrap());
        let streams = options.streams.clone();
        let state = ApiState {
            store: store.clone(),
            events: store.clone(),
            view: view.clone(),
            history: store.clone(),
            presence: Arc::new(MemoryPresence::new(world.clock.clone())),
            key_ring: Arc::new(FileKeyRing::create(files.path().join("keys"), world.clock.now()).unwrap()),
            blobs: Arc::new(MemoryBlobs::default()),
            sources: Arc::new(NoSources),
            links: Arc::new(links.clone()),
            authenticator: authenticator(&world),
            clock: world.clock.clone(),
            options,
        };
        let routes = router(state).merge(links.routes(store, authenticator(&world)));
        let server = Server::start(routes).await;
        let site = Site { world, server };
        let served = Self { site, links, streams, view, follower, _files: files };
        let release = Some(served.world().release);
        served.commit([Change::report(served.world().app, AppStatus { release })]).await;
        served
    }

    fn world(&self) -> &Local {
        &self.site.world
    }

    /// Commits, and waits until the API has seen it.
    async fn commit(&self, changes: impl IntoIterator<Item = Change>) {
        let committed = self.world().commit(changes).await;
        self.view.wait_for(committed.revision).await.unwrap();
    }

    async fn seen(&self) {
        let revision = self.world().store.snapshot(Scope::All).await.unwrap().revision;
        self.view.wait_for(revision).await.unwrap();
    }

    fn bearer(&self, token: TokenId) -> Api {
        Api::connect(self.site.server.endpoint(), Credential::Token(token_secret(token))).unwrap()
    }

    /// The API as a person of the team.
    async fn person(&self, role: Role) -> Api {
        let (_, _, token) = member(self.world(), role).await;
        self.seen().await;
        self.bearer(token)
    }

    async fn place(&self, job: JobId) {
        self.world().place(job).await.unwrap();
        self.seen().await;
    }

    async fn report(&self, job: JobId, state: JobState) {
        let since = self.world().clock.now();
        self.commit([Change::report(job, JobStatus { state, since })]).await;
    }

    async fn job(&self, job: JobId) -> Job {
        self.world().get(job).await.unwrap().spec.clone()
    }
}
