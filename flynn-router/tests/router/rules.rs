//! What routes do beside passing requests on.

use std::sync::Arc;
use std::time::Duration;

use flynn_router::rules::{FieldRules, RateLimit, Rules};
use flynn_router::table::{RouteSpec, TableChange};

use crate::instance::Instance;
use crate::rig::{Answer, Rig, place, settings};

async fn get(rig: &Rig, host: &str, path: &str, accept: &str) -> Answer {
    rig.get(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n")).await
}

/// A router with one route that has these rules.
async fn ruled(path: &str, instance: std::net::SocketAddr, change: impl FnOnce(&mut Rules)) -> Rig {
    let rig = Rig::with(settings(|settings| settings.https_port = Some(443))).await;
    let target = rig.route("unused.example", "/", &[instance]);
    let mut rules = Rules::default();
    change(&mut rules);
    let spec = RouteSpec { target, rules: Arc::new(rules) };
    rig.table.apply([TableChange::PutRoute(place("a.example", path), spec)]);
    rig
}

#[tokio::test]
async fn a_prefix_is_taken_off_with_its_name() {
    let instance = Instance::hello().await;
    let rig = ruled("/api", instance.address(), |rules| rules.strip_prefix = true).await;
    for (path, expect) in [
        ("/api", "/"),
        ("/api/", "/"),
        ("/api?a=/api", "/?a=/api"),
        ("/api/b/api?c", "/b/api?c"),
        ("/api//b", "//b"),
        ("/api/%2e", "/%2e"),
        ("http://a.example/api/x", "/x"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Prefix: /mine\r\n\r\n");
        assert_eq!(rig.get(&request).await.status, 200, "{path}");
        let seen = instance.seen().pop().unwrap();
        assert_eq!(seen.head.split(' ').nth(1), Some(expect), "{path}");
        assert_eq!(seen.field("x-forwarded-prefix").as_deref(), Some("/api"));
    }
    for path in ["/apis", "/", "/b/api"] {
        assert_eq!(get(&rig, "a.example", path, "*/*").await.status, 404, "{path}");
    }
    assert_eq!(get(&rig, "unused.example", "/api/x", "*/*").await.status, 200);
    let seen = instance.seen().pop().unwrap();
    assert_eq!((seen.head.split(' ').nth(1), seen.field("x-forwarded-prefix")), (Some("/api/x"), None));
    rig.end().await;
}

#[tokio::test]
async fn a_redirect_keeps_host_and_path_and_reaches_no_instance() {
    let instance = Instance::hello().await;
    let rig = ruled("/", instance.address(), |rules| rules.redirect_https = true).await;
    let port = rig.address.port();
    let answer = get(&rig, &format!("A.example.:{port}"), "/a/b?c=d", "*/*").await;
    assert_eq!((answer.status, answer.field("location").as_deref()), (301, Some("https://a.example/a/b?c=d")));
    let answer = rig.get("POST //evil.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi").await;
    assert_eq!((answer.status, answer.field("location").as_deref()), (308, Some("https://a.example//evil.example/")));
    assert_eq!(instance.connections(), 0);
    let lines = rig.lines.wait(2).await;
    assert!(lines[0].starts_with("at=info ") && lines[0].contains(" status=301 "), "{lines:#?}");
    rig.end().await;

    for (port, location) in [(Some(8443), Some("https://any.example:8443/x")), (None, None)] {
        let rig = Rig::with(settings(|settings| settings.https_port = port)).await;
        let target = rig.route("unused.example", "/", &[]);
        let rules = Arc::new({
            let mut rules = Rules::default();
            rules.redirect_https = true;
            rules
        });
        rig.table.apply([TableChange::PutRoute(place("*", "/"), RouteSpec { target, rules })]);
        let answer = get(&rig, "any.example", "/x", "*/*").await;
        // Where nothing serves https, the request is for the app, which has no instance here.
        assert_eq!(
            (answer.status, answer.field("location").as_deref()),
            (if port.is_some() { 301 } else { 503 }, location)
        );
        rig.end().await;
    }
}

#[tokio::test]
async fn fields_are_set_and_removed_on_both_ways() {
    let instance = Instance::fixed("HTTP/1.1 200 OK\r\nServer: x\r\nX-Old: 1\r\nContent-Length: 2\r\n\r\nok").await;
    let rig = ruled("/", instance.address(), |rules| {
        rules.request = FieldRules::default().without("cookie").unwrap().with("X-Team", "red").unwrap();
        rules.response = FieldRules::default().without("Server").unwrap().with("x-old", "2").unwrap();
    })
    .await;
    let answer = rig.get("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: a\r\nX-Team: blue\r\nX-Team: b\r\n\r\n").await;
    assert_eq!((answer.field("server"), answer.field("x-old").as_deref()), (None, Some("2")));
    let seen = instance.only();
    assert_eq!((seen.field("cookie"), seen.field("x-team").as_deref()), (None, Some("red")));
    rig.end().await;
}

#[tokio::test]
async fn above_its_rate_a_route_refuses_and_says_when_to_come_back() {
    let instance = Instance::hello().await;
    let rig = ruled("/", instance.address(), |rules| rules.rate = RateLimit::new(1, 3)).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = get(&rig, "a.example", "/", "*/*").await;
        if answer.status == 429 {
            assert_eq!(answer.field("retry-after").as_deref(), Some("1"));
            assert!(answer.text().contains("R26"));
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..3], [200; 3]);
    assert!(statuses[3..].contains(&429), "{statuses:?}");
    // Another route to the same app has no limit, and a change elsewhere does not start the count anew.
    for _ in 0..5 {
        assert_eq!(get(&rig, "unused.example", "/", "*/*").await.status, 200);
    }
    rig.route("a.example", "/other", &[instance.address()]);
    assert_eq!(get(&rig, "a.example", "/", "*/*").await.status, 429);
    let counted = rig.counts();
    assert!(counted.failures["R26"] >= 2, "{counted:?}");
    rig.end().await;
}

#[tokio::test]
async fn a_route_can_be_in_maintenance_with_a_page_of_its_own() {
    let instance = Instance::hello().await;
    let rig = ruled("/", instance.address(), |rules| {
        rules.maintenance = true;
        rules.maintenance_page = Some("<h1>Back at noon</h1>".into());
    })
    .await;
    let html = get(&rig, "a.example", "/", "text/html").await;
    assert_eq!((html.status, html.text().as_str()), (503, "<h1>Back at noon</h1>"));
    let plain = get(&rig, "a.example", "/", "*/*").await;
    assert!(plain.status == 503 && plain.text().contains("R14"));
    assert_eq!(get(&rig, "unused.example", "/", "*/*").await.status, 200);
    rig.end().await;
}

#[tokio::test]
async fn hosts_that_no_route_names_go_to_the_catch_all() {
    let (named, any) = (Instance::hello().await, Instance::hello().await);
    let rig = Rig::start().await;
    rig.route("*.a.example", "/", &[named.address()]);
    rig.route("*", "/", &[any.address()]);
    rig.route("b.example", "/only", &[named.address()]);
    for (host, path, expect) in [
        ("x.a.example", "/", (1, 0)),
        ("a.example", "/", (1, 1)),
        ("x.y.a.example", "/", (1, 2)),
        ("127.0.0.1", "/", (1, 3)),
        ("b.example", "/only/x", (2, 3)),
        ("b.example", "/", (2, 4)),
    ] {
        assert_eq!(get(&rig, host, path, "*/*").await.status, 200);
        assert_eq!((named.seen().len(), any.seen().len()), expect, "{host}{path}");
    }
    rig.end().await;
}

#[tokio::test]
async fn a_limit_lets_more_through_after_a_while() {
    let instance = Instance::hello().await;
    let rig = ruled("/", instance.address(), |rules| rules.rate = RateLimit::new(20, 1)).await;
    let mut admitted = 0;
    let began = tokio::time::Instant::now();
    while admitted < 5 {
        assert!(began.elapsed() < Duration::from_secs(20));
        admitted += usize::from(get(&rig, "a.example", "/", "*/*").await.status == 200);
    }
    assert!(began.elapsed() >= Duration::from_millis(4 * 50), "{:?}", began.elapsed());
    rig.end().await;
}
