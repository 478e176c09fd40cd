//! The words of every variant: a fixture holds one of each enum only.

use serde_json::{Value, json};

use super::form::{Form, Part};
use crate::name::{HostPattern, PathPrefix};
use crate::noun::*;

fn check<T: Form + PartialEq + std::fmt::Debug>(value: T, expected: Value) {
    assert_eq!(serde_json::to_value(Part(&value)).unwrap(), expected);
    let Part(read): Part<T> = serde_json::from_value(expected).unwrap();
    assert_eq!(read, value);
}

fn check_words<T: Form + PartialEq + std::fmt::Debug>(words: impl IntoIterator<Item = (T, &'static str)>) {
    words.into_iter().for_each(|(value, word)| check(value, json!(word)));
}

fn reason() -> String {
    String::from("because")
}

#[test]
fn variants_without_content_are_words() {
    check_words([(Standing::Member, "member"), (Standing::Admin, "admin")]);
    check_words([(Role::Viewer, "viewer"), (Role::Developer, "developer"), (Role::Owner, "owner")]);
    check_words([(AppLifecycle::Active, "active"), (AppLifecycle::Destroying, "destroying")]);
    check_words([(Traffic::Serve, "serve"), (Traffic::Maintenance, "maintenance")]);
    check_words([(BuildIntent::Finish, "finish"), (BuildIntent::Cancel, "cancel")]);
    check_words([(OnFailure::RollBack, "roll_back"), (OnFailure::Pause, "pause"), (OnFailure::Keep, "keep")]);
    check_words([(DeployIntent::Proceed, "proceed"), (DeployIntent::Pause, "pause"), (DeployIntent::Abort, "abort")]);
    check_words([(Terminal::None, "none"), (Terminal::Pty, "pty")]);
    check_words([(OneOffInput::Attached, "attached"), (OneOffInput::Closed, "closed")]);
    check_words([(Desired::Up, "up"), (Desired::Drain, "drain"), (Desired::Down, "down")]);
    check_words([(Health::Healthy, "healthy"), (Health::Unhealthy, "unhealthy")]);
    check_words([(Scheduling::Open, "open"), (Scheduling::Cordoned, "cordoned"), (Scheduling::Draining, "draining")]);
    check_words([
        (Liveness::Unseen, "unseen"),
        (Liveness::Ready, "ready"),
        (Liveness::Suspect, "suspect"),
        (Liveness::Lost, "lost"),
    ]);
    check_words([(Affinity::None, "none"), (Affinity::Sticky, "sticky")]);
    check_words([(PlainHttp::Serve, "serve"), (PlainHttp::Redirect, "redirect")]);
    check_words([(ProxyProtocol::None, "none"), (ProxyProtocol::V1, "v1"), (ProxyProtocol::V2, "v2")]);
    check_words(Kind::ALL.iter().map(|kind| (*kind, kind.as_str())));
}

#[test]
fn states_are_objects_with_a_type() {
    let pending = json!({"type": "pending", "reason": "because"});
    let lost = json!({"type": "lost", "reason": "because"});
    check(BuildState::Pending { reason: reason() }, pending.clone());
    check(BuildState::Assigned, json!({"type": "assigned"}));
    check(BuildState::Running, json!({"type": "running"}));
    let failed = BuildState::Failed { step: String::from("fetch"), reason: reason() };
    check(failed, json!({"type": "failed", "step": "fetch", "reason": "because"}));
    check(BuildState::Cancelled, json!({"type": "cancelled"}));
    check(BuildState::Lost { reason: reason() }, lost.clone());

    check(DeploymentState::Pending, json!({"type": "pending"}));
    check(DeploymentState::Running, json!({"type": "running"}));
    check(DeploymentState::RollingBack { reason: reason() }, json!({"type": "rolling_back", "reason": "because"}));
    check(DeploymentState::Done, json!({"type": "done"}));
    check(DeploymentState::Failed { reason: reason() }, json!({"type": "failed", "reason": "because"}));

    check(JobState::Pending { reason: reason() }, pending);
    check(JobState::Assigned, json!({"type": "assigned"}));
    check(JobState::Starting, json!({"type": "starting"}));
    check(JobState::Up { address: None, health: Health::Unhealthy }, json!({"type": "up", "health": "unhealthy"}));
    check(JobState::Stopping, json!({"type": "stopping"}));
    check(JobState::Lost { reason: reason() }, lost);
    let exited = |exit: Exit, form: Value| check(JobState::Exited(exit), json!({"type": "exited", "exit": form}));
    exited(Exit::Code(-1), json!({"type": "code", "code": -1}));
    exited(Exit::Signal(9), json!({"type": "signal", "signal": 9}));
    exited(Exit::OutOfMemory, json!({"type": "out_of_memory"}));
    exited(Exit::OutOfDisk { reason: reason() }, json!({"type": "out_of_disk", "reason": "because"}));
    exited(Exit::NotStarted { reason: reason() }, json!({"type": "not_started", "reason": "because"}));

    check(VolumeStatus::Pending, json!({"state": "pending"}));
}

#[test]
fn choices_with_content_are_objects_with_a_type() {
    let nil = "00000000-0000-0000-0000-000000000000";
    check(TokenScope::User(UserId::NIL), json!({"type": "user", "user": nil}));
    check(TokenScope::Team(UserId::NIL, TeamId::NIL), json!({"type": "team", "user": nil, "team": nil}));
    check(TokenScope::Node(NodeId::NIL), json!({"type": "node", "node": nil}));
    check(TokenScope::Router(RouterId::NIL), json!({"type": "router", "router": nil}));
    check(CertificateSource::Acme, json!({"type": "acme"}));
    check(Strategy::AllAtOnce, json!({"type": "all_at_once"}));
    check(Strategy::OneByOne, json!({"type": "one_by_one"}));
    check(Strategy::OneDownOneUp, json!({"type": "one_down_one_up"}));
    check(
        Strategy::InBatches { size: Share::Percent(25) },
        json!({"type": "in_batches", "size": {"type": "percent", "percent": 25}}),
    );
    let attached = Purpose::OneOff { terminal: Terminal::Pty, input: OneOffInput::Attached };
    check(attached, json!({"type": "one_off", "terminal": "pty", "input": "attached"}));
    check(ReleaseCause::Config(String::from("A, B")), json!({"type": "config", "keys": "A, B"}));
    check(ReleaseCause::Rollback(3), json!({"type": "rollback", "number": 3}));
    check(ReleaseCause::Image(String::from("shop:1")), json!({"type": "image", "image": "shop:1"}));
    check(Probe::Tcp, json!({"type": "tcp"}));
    let host = HostPattern::new("*.a.example").unwrap();
    let http = json!({"type": "http", "host": "*.a.example", "path": "/", "affinity": "none", "plain": "serve"});
    check(Entry::host(host), http);
    let tcp = Entry::Tcp { port: 22, proxy_protocol: ProxyProtocol::V2 };
    check(tcp, json!({"type": "tcp", "port": 22, "proxy_protocol": "v2"}));
    check(Probe::Http { path: PathPrefix::root() }, json!({"type": "http", "path": "/"}));
}
