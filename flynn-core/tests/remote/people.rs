//! Who tests act as.

use flynn_core::conformance::{World, token_secret};
use flynn_core::noun::{
    Grant, GrantId, Node, NodeId, Role, Standing, TeamId, Token, TokenId, TokenScope, User, UserId,
};
use flynn_core::port::{Elections, EventLog, History, Store};
use flynn_core::{Change, Timestamp};

use super::harness::{OverHttp, Remote, in_memory};

/// What a world can be in.
pub(crate) trait AnyStore: Store + EventLog + History + Elections + 'static {}

impl<S: Store + EventLog + History + Elections + 'static> AnyStore for S {}

pub(crate) async fn world() -> World<Remote> {
    World::new(&OverHttp(in_memory)).await
}

/// A token for `scope`, which ends at `expires`.
pub(crate) async fn token<S: AnyStore>(world: &World<S>, scope: TokenScope, expires: Option<Timestamp>) -> TokenId {
    let id: TokenId = world.id();
    let spec = Token { hash: token_secret(id).hash(), scope, label: "test".into(), expires };
    world.commit([Change::create(id, TeamId::SYSTEM, spec)]).await;
    id
}

/// A person with a role in the team, and a token of theirs.
pub(crate) async fn member<S: AnyStore>(world: &World<S>, role: Role) -> (UserId, GrantId, TokenId) {
    let (user, grant): (UserId, GrantId) = (world.id(), world.id());
    let person = User { name: "dev".parse().unwrap(), standing: Standing::Member };
    let team = world.team;
    world
        .commit([Change::create(user, TeamId::SYSTEM, person), Change::create(grant, team, Grant { user, team, role })])
        .await;
    (user, grant, token(world, TokenScope::User(user), None).await)
}

pub(crate) async fn second_node<S: AnyStore>(world: &World<S>) -> NodeId {
    let id: NodeId = world.id();
    world.commit([Change::create(id, TeamId::SYSTEM, Node::new("n2".parse().unwrap()))]).await;
    id
}
