//! Documents for tests.

use std::time::Duration;

use flynn_core::api::{
    Amounts, App, Build, Certificate, Deployment, Job, Node, ProcessType, Release, Route, Time, Token,
};
use flynn_core::{Id, Timestamp};

use crate::output::Style;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(crate) const ALIGNED: Style = Style { aligned: true, colour: false };
pub(crate) const COLOUR: Style = Style { aligned: true, colour: true };

fn before() -> Time {
    NOW.before(Duration::from_secs(120)).into()
}

pub(crate) fn app(name: &str) -> App {
    App {
        id: Id::NIL,
        name: name.into(),
        team: "ops".into(),
        team_id: Id::NIL,
        state: "active".into(),
        maintenance: false,
        release: Some(3),
        hosts: vec![format!("{name}.localhost")],
        url: Some(format!("http://{name}.localhost")),
        deploys: None,
        created_at: before(),
        version: 1,
    }
}

pub(crate) fn job(name: &str, state: &str) -> Job {
    Job {
        id: Id::NIL,
        app: Id::NIL,
        name: name.into(),
        process: name.split_once('.').map(|(process, _)| process.to_owned()),
        release: Some(3),
        state: state.into(),
        reason: None,
        exit_code: None,
        healthy: None,
        desired: "up".into(),
        address: None,
        node: Some("n1".into()),
        node_id: Some(Id::NIL),
        command: vec!["python".into(), "app.py".into()],
        attempt: 0,
        deployment: None,
        since: before(),
        created_at: before(),
        version: 1,
    }
}

pub(crate) fn build(number: u64, state: &str) -> Build {
    Build {
        id: Id::NIL,
        app: Id::NIL,
        number,
        commit: None,
        source: "sha256:00".into(),
        state: state.into(),
        ended: true,
        step: None,
        reason: None,
        image: None,
        release: None,
        node: None,
        since: before(),
        created_at: before(),
        version: 1,
    }
}

pub(crate) fn release(number: u64) -> Release {
    let command = vec!["python".into(), "app.py".into()];
    let web = ProcessType { command, port: Some(8080), check: None, stop_timeout_ms: 30_000 };
    Release {
        id: Id::NIL,
        app: Id::NIL,
        number,
        current: true,
        image: "sha256:00".into(),
        cause: "config".into(),
        description: "Set A".into(),
        commit: None,
        processes: [("web".to_owned(), web)].into(),
        config: vec!["A".into()],
        created_at: before(),
        version: 1,
    }
}

pub(crate) fn deployment(state: &str) -> Deployment {
    Deployment {
        id: Id::NIL,
        app: Id::NIL,
        from: Some(2),
        to: Some(3),
        strategy: "all_at_once".into(),
        desired: "proceed".into(),
        state: state.into(),
        reason: None,
        ended: false,
        step: 0,
        weight_percent: 0,
        progressed_at: None,
        created_at: before(),
        version: 1,
    }
}

pub(crate) fn route(host: &str, path: &str) -> Route {
    Route {
        id: Id::NIL,
        app: Id::NIL,
        process: "web".into(),
        kind: "http".into(),
        host: Some(host.into()),
        path: Some(path.into()),
        sticky: false,
        redirect_https: false,
        port: None,
        proxy_protocol: None,
        created_at: before(),
        version: 1,
    }
}

pub(crate) fn certificate(hosts: &[&str], not_after: Option<Timestamp>) -> Certificate {
    Certificate {
        id: Id::NIL,
        app: Id::NIL,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        source: "given".into(),
        names: vec![],
        issuer: Some("CN=Authority".into()),
        not_before: Some(before()),
        not_after: not_after.map(Time),
        created_at: before(),
        version: 1,
    }
}

pub(crate) fn token(label: &str) -> Token {
    Token {
        id: Id::NIL,
        label: label.into(),
        scope: "user".into(),
        user: Some("ada".into()),
        of: None,
        expires_at: None,
        created_at: before(),
        version: 1,
    }
}

pub(crate) fn node(name: &str) -> Node {
    let amounts = |cpu_millis, memory_bytes| Amounts { cpu_millis, memory_bytes, disk_bytes: 0, pids: 0 };
    Node {
        id: Id::NIL,
        name: name.into(),
        liveness: "ready".into(),
        seen_at: Some(before()),
        scheduling: "open".into(),
        labels: [].into(),
        address: None,
        agent_version: "0.1.0".into(),
        jobs: 3,
        capacity: amounts(2_000, 4 << 30),
        reserved: amounts(0, 1 << 30),
        used: amounts(500, 512 << 20),
        created_at: before(),
        version: 1,
    }
}
