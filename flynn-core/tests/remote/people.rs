//! Who tests act as.

use flynn_core::conformance::{World, token_secret};
use flynn_core::noun::{
    Grant, GrantId, Node, NodeId, Role, Standing, TeamId, Token, TokenId, TokenScope, User, UserId,
};
use flynn_core::{Change, Timestamp};

use super::harness::{OverHttp, Remote, in_memory};

pub(crate) async fn world() -> World<Remote> {
    World::new(&OverHttp(in_memory)).await
}

/// A token for `scope`, which ends at `expires`.
pub(crate) async fn token(world: &World<Remote>, scope: TokenScope, expires: Option<Timestamp>) -> TokenId {
    let id: TokenId = world.id();
    let spec = Token { hash: token_secret(id).hash(), scope, label: "test".into(), expires };
    world.commit([Change::create(id, TeamId::SYSTEM, spec)]).await;
    id
}

/// A person with a role in the team, and a token of theirs.
pub(crate) async fn member(world: &World<Remote>, role: Role) -> (UserId, GrantId, TokenId) {
    let (user, grant): (UserId, GrantId) = (world.id(), world.id());
    let person = User { name: "dev".parse().unwrap(), standing: Standing::Member };
    let team = world.team;
    world
        .commit([Change::create(user, TeamId::SYSTEM, person), Change::create(grant, team, Grant { user, team, role })])
        .await;
    (user, grant, token(world, TokenScope::User(user), None).await)
}

pub(crate) async fn second_node(world: &World<Remote>) -> NodeId {
    let id: NodeId = world.id();
    world.commit([Change::create(id, TeamId::SYSTEM, Node::new("n2".parse().unwrap()))]).await;
    id
}
