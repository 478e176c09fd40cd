//! Certificates of hosts.

use std::collections::BTreeSet;

use flynn_core::Scope;
use flynn_core::noun::{Certificate, CertificateSource};
use flynn_core::port::Store;
use flynn_core::server::api::Edge;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use super::harness::{Cluster, options, texts};

/// A certificate that signed itself, and its key. The clock of a cluster shows the beginning of 2027.
fn pair(names: &[&str], until: (i32, u8)) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(until.0, until.1, 1));
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn wish(names: &[&str], hosts: &[&str]) -> Value {
    let (chain, key) = pair(names, (2028, 1));
    json!({ "chain": chain, "key": key, "hosts": hosts })
}

#[tokio::test]
async fn a_certificate_is_for_the_hosts_that_it_names() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let path = "/v1/apps/web/certificates";
    for host in ["a.example", "b.example", "c.b.example"] {
        root.post("/v1/apps/web/domains", json!({ "host": host })).await.ok();
    }
    let made = root.post(path, wish(&["a.example", "*.b.example", "other.example"], &[])).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (tag, made) = (made.tag(), made.ok());
    assert_eq!(made["hosts"], json!(["a.example", "c.b.example"]));
    assert_eq!(made["names"], json!(["a.example", "*.b.example", "other.example"]));
    assert_eq!((&made["source"], &made["not_after"]), (&json!("given"), &json!("2028-01-01T00:00:00.000Z")));
    assert!(!made.to_string().contains("PRIVATE"), "{made}");
    let own = format!("{path}/{}", made["id"].as_str().unwrap());
    let shown = root.get(&own).await;
    assert_eq!(shown.tag(), tag);
    assert_eq!(shown.ok(), made);

    // Another one for a host takes it over, and what has no host any more is gone.
    let second = root.post(path, wish(&["a.example"], &["a.example"])).await.ok();
    assert_eq!(root.get(&own).await.ok()["hosts"], json!(["c.b.example"]));
    let third = root.post(path, wish(&["*.b.example"], &["*.b.example", "c.b.example"])).await.ok();
    root.get(&own).await.refused(404, "not_found");
    // They are of the same moment, which the clock does not leave.
    let listed: BTreeSet<String> = texts(&root.list(path).await, "id").into_iter().collect();
    assert_eq!(listed, [&second, &third].map(|made| made["id"].as_str().unwrap().to_owned()).into());

    root.post("/v1/apps", json!({ "name": "api" })).await.ok();
    let elsewhere = format!("/v1/apps/api/certificates/{}", second["id"].as_str().unwrap());
    root.delete(&elsewhere).await.refused(404, "not_found");
    let taken =
        root.post("/v1/apps/api/certificates", wish(&["a.example"], &["a.example"])).await.refused(409, "taken");
    assert!(
        taken["detail"].as_str().unwrap().contains("the certificate of a.example is taken by app `web`"),
        "{taken}"
    );
    assert_eq!(root.delete(&elsewhere.replace("/api/", "/web/")).await.status, 204);
    assert_eq!(root.list(path).await.len(), 1);
}

#[tokio::test]
async fn an_app_is_opened_over_tls_where_it_can_be() {
    let mut options = options();
    options.edge = Some(Edge::http(8080).with_https(8443));
    let cluster = Cluster::with(options).await;
    let root = cluster.admin().await;
    let url = async || root.get("/v1/apps/web").await.ok()["url"].clone();
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    assert_eq!(url().await, "http://web.apps.example:8080");
    root.post("/v1/apps/web/certificates", wish(&["a.example"], &["a.example"])).await.ok();
    assert_eq!(url().await, "http://web.apps.example:8080");
    root.post("/v1/apps/web/certificates", wish(&["web.apps.example"], &[])).await.ok();
    assert_eq!(url().await, "https://web.apps.example:8443");
}

#[tokio::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    root.post("/v1/apps/web/domains", json!({ "host": "a.example" })).await.ok();
    let (chain, key) = pair(&["a.example", "below.apps.example"], (2028, 1));
    let (expired, of_expired) = pair(&["a.example"], (2026, 12));
    let dev = cluster.member("dev", "red", "developer").await;
    dev.post("/v1/apps", json!({ "name": "mine" })).await.ok();
    let cases = [
        (json!({ "chain": chain, "key": of_expired }), "key", "key of another certificate"),
        (json!({ "chain": "none", "key": key }), "chain", "there is no certificate"),
        (json!({ "chain": expired, "key": of_expired }), "chain", "expired at 2026-12-01"),
        (json!({ "chain": chain, "key": key, "hosts": ["b.example"] }), "hosts.0", "is not for b.example"),
        (json!({ "chain": chain, "key": key, "hosts": ["a.example", "a b"] }), "hosts.1", "use a host name"),
    ];
    for (wish, field, words) in cases {
        let refused = root.post("/v1/apps/web/certificates", wish).await.refused(422, "invalid");
        let error = &refused["errors"][0];
        assert_eq!(error["field"], field, "{refused}");
        assert!(error["detail"].as_str().unwrap().contains(words), "{refused}");
    }
    let none = json!({ "chain": chain, "key": key });
    let refused = dev.post("/v1/apps/mine/certificates", none.clone()).await.refused(422, "invalid");
    assert_eq!(refused["errors"][0]["field"], "hosts");
    // Hosts of others, and below the domain of the cluster, are not to be had.
    let foreign = json!({ "chain": chain, "key": key, "hosts": ["a.example"] });
    dev.post("/v1/apps/mine/certificates", foreign).await.refused(409, "taken");
    let below = json!({ "chain": chain, "key": key, "hosts": ["below.apps.example"] });
    dev.post("/v1/apps/mine/certificates", below).await.refused(422, "invalid");
    dev.post("/v1/apps/web/certificates", none.clone()).await.refused(404, "not_found");
    let viewer = cluster.member("vera", "red", "viewer").await;
    let own = json!({ "chain": chain, "key": key, "hosts": ["a.example"] });
    viewer.post("/v1/apps/mine/certificates", own).await.refused(403, "forbidden");
    assert!(root.list("/v1/apps/web/certificates").await.is_empty());
    assert!(dev.list("/v1/apps/mine/certificates").await.is_empty());
}

#[tokio::test]
async fn a_key_is_stored_sealed() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let wish = wish(&["a.example"], &["a.example"]);
    let made = root.post("/v1/apps/web/certificates", wish.clone()).await.ok();
    let snapshot = cluster.store.snapshot(Scope::Router).await.unwrap();
    let stored = snapshot.objects.iter::<Certificate>().next().unwrap();
    assert_eq!(made["id"], stored.id.to_string());
    let CertificateSource::Given(pair) = &stored.spec.source else { panic!("{stored:?}") };
    assert_eq!(Some(pair.chain.as_str()), wish["chain"].as_str());
    let key = wish["key"].as_str().unwrap().as_bytes();
    assert!(!pair.key.bytes.windows(20).any(|window| key.windows(20).any(|part| part == window)));
}
