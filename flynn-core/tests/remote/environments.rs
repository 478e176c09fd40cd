//! The environments of jobs, as their nodes open them.

use std::sync::Arc;

use flynn_core::client::{JobEnvs, RemoteOptions};
use flynn_core::local::FileKeyRing;
use flynn_core::name::EnvKey;
use flynn_core::noun::{Job, JobId, Role, Workload};
use flynn_core::port::{KeyRing, SealedFor, Secret};
use flynn_core::rule::Denial;
use flynn_core::server::peer::environment_routes;
use flynn_core::{Change, Clock, StoreError};
use tempfile::TempDir;

use super::people::{member, second_node};
use super::site::{Site, authenticator};
use flynn_core::client::Credential;
use flynn_core::conformance::token_secret;

const HIDDEN: &[u8] = b"postgres://\xff\x00secret";

/// A site with a job that is placed and has one variable, sealed for `purpose`.
async fn site(purpose: impl FnOnce(&Site) -> SealedFor) -> (Site, JobId, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let mut ring = None;
    let site = Site::new(|world| {
        let keys = Arc::new(FileKeyRing::create(path, world.clock.now()).unwrap());
        ring = Some(keys.clone());
        environment_routes(world.store.clone(), keys, authenticator(world), world.clock.clone())
    })
    .await;
    let sealed = ring.unwrap().seal(purpose(&site), HIDDEN).unwrap();
    let world = &site.world;
    let (job, spec): (JobId, Job) = (world.id(), world.job(1));
    let env = [(EnvKey::new("DATABASE_URL").unwrap(), sealed)].into();
    let workload = Arc::new(Workload { env, ..(*spec.workload).clone() });
    world.commit([Change::create(job, world.team, Job { workload, ..spec })]).await;
    world.place(job).await.unwrap();
    (site, job, directory)
}

fn envs((endpoint, credential): (flynn_core::client::Endpoint, Credential)) -> JobEnvs {
    JobEnvs::connect(endpoint, credential, RemoteOptions::default()).unwrap()
}

#[tokio::test]
async fn a_node_opens_the_environment_of_its_own_job() {
    let (site, job, _files) = site(|site| SealedFor::Env(site.world.app)).await;
    let expected = [(EnvKey::new("DATABASE_URL").unwrap(), Secret::new(HIDDEN))].into();
    let own = envs(site.node(site.world.node).await).open(job).await.unwrap();
    assert_eq!(own, expected);
    assert_eq!(envs(site.trusted()).open(job).await.unwrap(), expected);
    let missing: JobId = site.world.id();
    let refused = envs(site.trusted()).open(missing).await;
    assert!(matches!(refused, Err(StoreError::NotFound { id, .. }) if id == missing.into()), "{refused:?}");
}

#[tokio::test]
async fn nobody_else_opens_it() {
    let (site, job, _files) = site(|site| SealedFor::Env(site.world.app)).await;
    let other = second_node(&site.world).await;
    let (_, _, owner) = member(&site.world, Role::Owner).await;
    let as_owner = (site.server.endpoint(), Credential::Token(token_secret(owner)));
    for credential in [site.node(other).await, as_owner] {
        let refused = envs(credential).open(job).await;
        assert!(matches!(refused, Err(StoreError::NotAllowed { denial: Denial::Reserved { .. }, .. })), "{refused:?}");
    }
    let nobody = envs((site.server.endpoint(), Credential::Socket)).open(job).await;
    assert!(matches!(nobody, Err(StoreError::NotAllowed { denial: Denial::Anonymous, .. })), "{nobody:?}");
    // Not before it is placed, either.
    let pending: JobId = site.world.create_job(2).await;
    let early = envs(site.node(site.world.node).await).open(pending).await;
    assert!(matches!(early, Err(StoreError::NotAllowed { .. })), "{early:?}");
}

#[tokio::test]
async fn a_value_that_was_sealed_for_another_app_is_not_opened() {
    let (site, job, _files) = site(|site| SealedFor::Env(site.world.id())).await;
    let refused = envs(site.node(site.world.node).await).open(job).await;
    let Err(error @ StoreError::Internal { .. }) = refused else { panic!("{refused:?}") };
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("DATABASE_URL") && source.contains("for something else"), "{source}");
}
