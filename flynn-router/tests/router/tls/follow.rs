//! A table of certificates that follows a store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flynn_core::Change;
use flynn_core::noun::{Certificate, CertificateId, CertificateSource, KeyPair};
use flynn_core::port::Secret;
use flynn_core::value::{KeyId, Sealed};
use flynn_router::follow::{FollowSettings, RouteFollower};
use flynn_router::table::{Host, ShardedTable};
use flynn_router::tls::{CertificateFile, CertificateFollower, CertificateKeys, CertificateTable, KeyError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::authority::Authority;
use crate::cluster::Cluster;
use crate::rig::{soon, until};

/// Keys that can be out of reach.
#[derive(Debug, Default)]
struct Keys {
    known: Mutex<BTreeMap<CertificateId, Secret>>,
    asked: AtomicUsize,
}

#[async_trait]
impl CertificateKeys for Keys {
    async fn open(&self, id: CertificateId) -> Result<Secret, KeyError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let known = self.known.lock().unwrap().get(&id).cloned();
        known.ok_or_else(|| KeyError::Unavailable("not yet".into()))
    }
}

struct Following {
    table: Arc<CertificateTable>,
    stop: watch::Sender<bool>,
    run: JoinHandle<()>,
}

fn follow(cluster: &Cluster, keys: &Arc<Keys>, file: Option<&Path>) -> Following {
    let (table, stop) = (Arc::new(CertificateTable::new()), watch::Sender::new(false));
    let settings = FollowSettings::new(cluster.router, "test");
    let clock = cluster.world.clock.clone();
    let routes = Arc::new(ShardedTable::new());
    let routes = RouteFollower::new(cluster.remote.clone(), cluster.presence.clone(), routes, clock, settings);
    let mut certificates = CertificateFollower::new(routes.objects(), keys.clone(), table.clone());
    if let Some(file) = file {
        certificates = certificates.with_file(CertificateFile::new(file, &Secret::new(b"a token".to_vec())));
    }
    let stopped = || {
        let mut stop = stop.subscribe();
        async move { drop(stop.wait_for(|stop| *stop).await) }
    };
    let (of_routes, of_certificates) = (stopped(), stopped());
    let run = tokio::spawn(async move {
        tokio::join!(routes.run(of_routes), certificates.run(of_certificates));
    });
    Following { table, stop, run }
}

impl Following {
    /// The names of the certificate that a host is served with.
    fn shown(&self, host: &str) -> Option<Vec<String>> {
        let found = self.table.find(&Host::parse(host).unwrap())?;
        Some(found.facts().names.iter().map(ToString::to_string).collect())
    }

    async fn shows(&self, host: &str, names: Option<&[&str]>) {
        let names: Option<Vec<String>> = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        until(|| self.shown(host) == names).await;
    }

    async fn end(self) {
        self.stop.send_replace(true);
        soon(self.run).await.unwrap();
    }
}

struct Ground {
    cluster: Cluster,
    keys: Arc<Keys>,
    authority: Authority,
}

impl Ground {
    async fn new() -> Self {
        Self { cluster: Cluster::new().await, keys: Arc::default(), authority: Authority::new() }
    }

    /// A certificate for `hosts` and its key, which nobody can open yet.
    fn made(&self, hosts: &[&str]) -> (CertificateId, Certificate, Secret) {
        let (chain, key) = self.authority.pair(hosts);
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let sealed = Sealed { key: KeyId("k".into()), bytes: vec![1, 2, 3] };
        let source = CertificateSource::Given(KeyPair { chain, key: sealed });
        (self.cluster.world.id(), Certificate { app: self.cluster.world.app, hosts, source }, key)
    }

    async fn add(&self, hosts: &[&str]) -> CertificateId {
        let (id, certificate, key) = self.made(hosts);
        self.keys.known.lock().unwrap().insert(id, key);
        self.cluster.world.commit([Change::create(id, self.cluster.world.team, certificate)]).await;
        id
    }
}

#[tokio::test]
async fn certificates_come_change_hands_and_go() {
    let ground = Ground::new().await;
    let following = follow(&ground.cluster, &ground.keys, None);
    let first = ground.add(&["a.example", "b.example"]).await;
    following.shows("b.example", Some(&["a.example", "b.example"])).await;

    // A renewal takes one host over. Until its key can be opened the host keeps what it has.
    let (second, renewed, key) = ground.made(&["a.example"]);
    let world = &ground.cluster.world;
    let mut rest = world.get(first).await.unwrap().spec.clone();
    rest.hosts = ["b.example".parse().unwrap()].into();
    let asked = ground.keys.asked.load(Ordering::SeqCst);
    world.commit([Change::create(second, world.team, renewed), Change::update(first, rest)]).await;
    until(|| ground.keys.asked.load(Ordering::SeqCst) > asked + 1).await;
    following.shows("a.example", Some(&["a.example", "b.example"])).await;
    ground.keys.known.lock().unwrap().insert(second, key);
    following.shows("a.example", Some(&["a.example"])).await;
    following.shows("b.example", Some(&["a.example", "b.example"])).await;

    world.commit([Change::remove(second)]).await;
    following.shows("a.example", None).await;
    following.shows("b.example", Some(&["a.example", "b.example"])).await;
    following.end().await;
}

#[tokio::test]
async fn the_last_certificates_are_served_without_a_store_and_no_key_lies_open() {
    let (ground, folder) = (Ground::new().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("certificates.json");
    let following = follow(&ground.cluster, &ground.keys, Some(&file));
    ground.add(&["a.example"]).await;
    let gone = ground.add(&["*.b.example"]).await;
    following.shows("x.b.example", Some(&["*.b.example"])).await;
    until(|| std::fs::read_to_string(&file).is_ok_and(|text| text.contains("*.b.example"))).await;
    following.end().await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE KEY"), "{text}");

    ground.cluster.remote.away.store(true, Ordering::SeqCst);
    let asked = ground.keys.asked.load(Ordering::SeqCst);
    let following = follow(&ground.cluster, &ground.keys, Some(&file));
    following.shows("a.example", Some(&["a.example"])).await;
    following.shows("x.b.example", Some(&["*.b.example"])).await;
    ground.cluster.world.commit([Change::remove(gone)]).await;
    ground.cluster.remote.away.store(false, Ordering::SeqCst);
    following.shows("x.b.example", None).await;
    following.shows("a.example", Some(&["a.example"])).await;
    assert_eq!(ground.keys.asked.load(Ordering::SeqCst), asked, "a key that is on disk is not asked for");
    following.end().await;
}
