//! The private keys of certificates, as routers open them.

use std::sync::Arc;

use flynn_core::client::{CertificateKeys, Credential, Endpoint, RemoteOptions};
use flynn_core::conformance::token_secret;
use flynn_core::local::FileKeyRing;
use flynn_core::noun::{Certificate, CertificateId, CertificateSource, KeyPair, Role, Router, TeamId, TokenScope};
use flynn_core::port::{KeyRing, SealedFor, Secret};
use flynn_core::rule::Denial;
use flynn_core::server::peer::certificate_routes;
use flynn_core::{Change, Clock, StoreError};
use tempfile::TempDir;

use super::people::{member, token};
use super::site::{Site, authenticator};

const HIDDEN: &[u8] = b"-----BEGIN PRIVATE KEY-----\nhidden\n";

/// A site with a certificate whose key is sealed for `purpose`.
async fn site(purpose: impl FnOnce(&Site) -> SealedFor) -> (Site, CertificateId, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let mut ring = None;
    let site = Site::new(|world| {
        let keys = Arc::new(FileKeyRing::create(path, world.clock.now()).unwrap());
        ring = Some(keys.clone());
        certificate_routes(world.store.clone(), keys, authenticator(world), world.clock.clone())
    })
    .await;
    let key = ring.unwrap().seal(purpose(&site), HIDDEN).unwrap();
    let id = add(&site, "a.example", CertificateSource::Given(KeyPair { chain: "public".into(), key })).await;
    (site, id, directory)
}

async fn add(site: &Site, host: &str, source: CertificateSource) -> CertificateId {
    let (id, world): (CertificateId, _) = (site.world.id(), &site.world);
    let certificate = Certificate { app: world.app, hosts: [host.parse().unwrap()].into(), source };
    world.commit([Change::create(id, world.team, certificate)]).await;
    id
}

fn keys((endpoint, credential): (Endpoint, Credential)) -> CertificateKeys {
    CertificateKeys::connect(endpoint, credential, RemoteOptions::default()).unwrap()
}

async fn router(site: &Site) -> (Endpoint, Credential) {
    let id = site.world.id();
    site.world.commit([Change::create(id, TeamId::SYSTEM, Router { name: "r1".parse().unwrap() })]).await;
    let token = token(&site.world, TokenScope::Router(id), None).await;
    (site.server.endpoint(), Credential::Token(token_secret(token)))
}

#[tokio::test]
async fn a_router_opens_the_key_of_a_certificate() {
    let (site, id, _files) = site(|site| SealedFor::CertificateKey(site.world.app)).await;
    let router = keys(router(&site).await);
    assert_eq!(router.open(id).await.unwrap(), Secret::new(HIDDEN));
    assert_eq!(keys(site.trusted()).open(id).await.unwrap(), Secret::new(HIDDEN));
    let missing: CertificateId = site.world.id();
    let ordered = add(&site, "b.example", CertificateSource::Acme).await;
    for absent in [missing, ordered] {
        let refused = router.open(absent).await;
        assert!(matches!(refused, Err(StoreError::NotFound { id, .. }) if id == absent.into()), "{refused:?}");
    }
}

#[tokio::test]
async fn nobody_else_opens_it() {
    let (site, id, _files) = site(|site| SealedFor::CertificateKey(site.world.app)).await;
    let (_, _, owner) = member(&site.world, Role::Owner).await;
    let as_owner = (site.server.endpoint(), Credential::Token(token_secret(owner)));
    for credential in [site.node(site.world.node).await, as_owner] {
        let refused = keys(credential).open(id).await;
        assert!(matches!(refused, Err(StoreError::NotAllowed { denial: Denial::Reserved { .. }, .. })), "{refused:?}");
    }
    let nobody = keys((site.server.endpoint(), Credential::Socket)).open(id).await;
    assert!(matches!(nobody, Err(StoreError::NotAllowed { denial: Denial::Anonymous, .. })), "{nobody:?}");
}

#[tokio::test]
async fn a_key_that_was_sealed_for_another_app_is_not_opened() {
    let (site, id, _files) = site(|site| SealedFor::CertificateKey(site.world.id())).await;
    let refused = keys(router(&site).await).open(id).await;
    let Err(error @ StoreError::Internal { .. }) = refused else { panic!("{refused:?}") };
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("for something else"), "{source}");
}
