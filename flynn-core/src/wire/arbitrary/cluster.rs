use proptest::collection::{btree_map, btree_set};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{env, fields, id, label, name, resources, sealed, text, time};
use crate::noun::{
    Addon, AddonStatus, Grant, Liveness, Node, NodeStatus, Provider, Quota, Role, Router, RouterStatus, Scheduling,
    Standing, Team, Token, TokenHash, TokenScope, User,
};

pub(super) fn addon() -> impl Strategy<Value = Addon> {
    fields!(Addon { provider: id(), plan: text(), apps: btree_set(id(), 0..4) })
}

pub(super) fn addon_status() -> impl Strategy<Value = AddonStatus> {
    fields!(AddonStatus { external: of(text()), env: env(), problem: of(text()) })
}

pub(super) fn provider() -> impl Strategy<Value = Provider> {
    fields!(Provider { name: label(), url: text(), credential: of(sealed()) })
}

pub(super) fn team() -> impl Strategy<Value = Team> {
    fields!(Team { name: label() })
}

pub(super) fn user() -> impl Strategy<Value = User> {
    let standing = select(vec![Standing::Member, Standing::Admin]);
    fields!(User { name: name("[A-Za-z0-9]([A-Za-z0-9._@+-]{0,30}[A-Za-z0-9])?"), standing: standing })
}

pub(super) fn grant() -> impl Strategy<Value = Grant> {
    let role = select(vec![Role::Viewer, Role::Developer, Role::Owner]);
    fields!(Grant { user: id(), team: id(), role: role })
}

pub(super) fn token() -> impl Strategy<Value = Token> {
    let scope = prop_oneof![
        id().prop_map(TokenScope::User),
        (id(), id()).prop_map(|(user, team)| TokenScope::Team(user, team)),
        (id(), id()).prop_map(|(user, app)| TokenScope::App(user, app)),
        id().prop_map(TokenScope::Node),
        id().prop_map(TokenScope::Router),
    ];
    let hash = any::<[u8; 32]>().prop_map(TokenHash);
    fields!(Token { hash: hash, scope: scope, label: text(), expires: of(time()) })
}

pub(super) fn node() -> impl Strategy<Value = Node> {
    let word = "[A-Za-z0-9]([A-Za-z0-9._/-]{0,20}[A-Za-z0-9])?";
    fields!(Node {
        name: name("[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z0-9]{1,5}){0,3}"),
        labels: btree_map(name(word), prop_oneof![name(""), name(word)], 0..4),
        reserved: resources(),
        scheduling: select(vec![Scheduling::Open, Scheduling::Cordoned, Scheduling::Draining]),
    })
}

pub(super) fn node_status() -> impl Strategy<Value = NodeStatus> {
    fields!(NodeStatus {
        liveness: liveness(),
        capacity: resources(),
        address: of(any::<std::net::IpAddr>()),
        version: text(),
        boot: text(),
    })
}

pub(super) fn router() -> impl Strategy<Value = Router> {
    fields!(Router { name: label() })
}

pub(super) fn router_status() -> impl Strategy<Value = RouterStatus> {
    fields!(RouterStatus { liveness: liveness(), version: text() })
}

pub(super) fn quota() -> impl Strategy<Value = Quota> {
    fields!(Quota {
        team: id(),
        apps: of(any::<u64>()),
        routes: of(any::<u64>()),
        instances: of(any::<u64>()),
        cpu_millis: of(any::<u64>()),
        memory_bytes: of(any::<u64>()),
        volume_bytes: of(any::<u64>()),
        instance_cpu_millis: of(any::<u64>()),
        instance_memory_bytes: of(any::<u64>()),
        instance_disk_bytes: of(any::<u64>()),
        instance_pids: of(any::<u64>()),
    })
}

fn liveness() -> impl Strategy<Value = Liveness> {
    select(vec![Liveness::Unseen, Liveness::Ready, Liveness::Suspect, Liveness::Lost])
}
