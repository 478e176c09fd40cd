//! What a token opens, for whom, and for how long.

use std::time::Duration;

use super::authorization::{allowed, denied, hidden, token, token_spec, user};
use crate::change::{Batch, Change, Expectation};
use crate::conformance::world::{app, release};
use crate::conformance::{StoreHarness, World};
use crate::error::StoreError;
use crate::name::UserName;
use crate::noun::{AppId, ReleaseId, Role, Standing, TeamId, Token, TokenId, TokenScope, User, UserId};
use crate::port::Store;
use crate::rule::{Denial, Principal};
use crate::time::Clock;

/// A token for one app does not reach its neighbour, nor make apps.
pub async fn an_app_token_is_for_one_app<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (person, _) = user(&world, "dev", &[(world.team, Role::Developer)]).await;
    let deploy = token(&world, TokenScope::App(person, world.app)).await;
    let neighbour = world.create_app("neighbour").await;
    let (second, third): (ReleaseId, AppId) = (world.id(), world.id());
    allowed(&world, deploy, Change::create(second, world.team, release(world.app, 2))).await;
    hidden(&world, deploy, Change::update(neighbour, app("mine"))).await;
    denied(&world, deploy, Change::create(third, world.team, app("third"))).await;
}

/// Whoever makes a token cannot give it more than they have, nor another's name.
pub async fn tokens_open_no_more_than_their_maker<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (person, full) = user(&world, "dev", &[(world.team, Role::Developer)]).await;
    let (other, _) = user(&world, "other", &[(world.team, Role::Owner)]).await;
    let team = world.team;
    let of_app = token(&world, TokenScope::App(person, world.app)).await;
    let of_team = token(&world, TokenScope::Team(person, team)).await;
    let mint = |world: &World<H::Store>, scope| {
        let id: TokenId = world.id();
        Change::create(id, team, token_spec(id, scope))
    };
    let wider = mint(&world, TokenScope::Team(person, team));
    denied(&world, of_app, wider.clone()).await;
    allowed(&world, of_team, wider).await;
    let whole = mint(&world, TokenScope::User(person));
    denied(&world, of_team, whole).await;
    let again = |user| {
        let id: TokenId = world.id();
        Change::create(id, TeamId::SYSTEM, token_spec(id, TokenScope::User(user)))
    };
    let (own, anothers) = (again(person), again(other));
    denied(&world, of_team, own.clone()).await;
    denied(&world, full, anothers).await;
    allowed(&world, full, own).await;
    for scope in [TokenScope::Team(other, team), TokenScope::Node(world.node)] {
        let stolen = mint(&world, scope);
        denied(&world, full, stolen).await;
    }
    let (mine, theirs): (TokenId, TokenId) = (world.id(), world.id());
    let of_app = |id, user| Change::create(id, team, token_spec(id, TokenScope::App(user, world.app)));
    allowed(&world, full, of_app(mine, person)).await;
    world.commit([of_app(theirs, other)]).await;
    denied(&world, full, Change::remove(theirs)).await;
    allowed(&world, full, Change::remove(mine)).await;
}

/// That is how somebody comes in for the first time. From then on nobody acts in their name.
pub async fn an_administrator_makes_the_first_token_of_a_user<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (admin, guest): (UserId, UserId) = (world.id(), world.id());
    let person = |name: &str, standing| User { name: UserName::new(name).unwrap(), standing };
    world
        .commit([
            Change::create(admin, TeamId::SYSTEM, person("root", Standing::Admin)),
            Change::create(guest, TeamId::SYSTEM, person("guest", Standing::Member)),
        ])
        .await;
    let admin = token(&world, TokenScope::User(admin)).await;
    let (_, owner) = user(&world, "owner", &[(world.team, Role::Owner)]).await;
    let mint = || {
        let id: TokenId = world.id();
        (id, Change::create(id, TeamId::SYSTEM, token_spec(id, TokenScope::User(guest))))
    };
    denied(&world, owner, mint().1).await;
    let (first, change) = mint();
    allowed(&world, admin, change).await;
    denied(&world, admin, mint().1).await;
    // Who lost it begins anew, and the record says who saw to that.
    allowed(&world, admin, Change::remove(first)).await;
    allowed(&world, admin, mint().1).await;
}

/// Inside the commit, not before it.
pub async fn revoked_and_expired_tokens_open_nothing<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (person, full) = user(&world, "dev", &[(world.team, Role::Developer)]).await;
    let (short, ghost): (TokenId, TokenId) = (world.id(), world.id());
    let until = world.clock.now() + Duration::from_secs(60);
    let spec = Token { expires: Some(until), ..token_spec(short, TokenScope::User(person)) };
    world.commit([Change::create(short, TeamId::SYSTEM, spec)]).await;
    let rename = |name: &str| Change::update(world.app, app(name));
    allowed(&world, Principal::Bearer(short), rename("a")).await;
    world.clock.advance(Duration::from_secs(60));
    let reason = |refused| match refused {
        Err(StoreError::NotAllowed { denial, .. }) => denial,
        other => panic!("{other:?}"),
    };
    let late = world.commit_as(Principal::Bearer(short), [rename("b")]).await;
    assert_eq!(reason(late.map(|_| ())), Denial::ExpiredToken);
    let unknown = world.commit_as(Principal::Bearer(ghost), [rename("c")]).await;
    assert_eq!(reason(unknown.map(|_| ())), Denial::UnknownToken);
    allowed(&world, full, rename("d")).await;
    let Principal::Bearer(id) = full else { unreachable!() };
    world.commit([Change::remove(id)]).await;
    let revoked = world.commit_as(full, [rename("e")]).await;
    assert_eq!(reason(revoked.map(|_| ())), Denial::UnknownToken);
}

/// A short-lived token cannot make itself eternal.
pub async fn a_token_does_not_outlive_its_maker<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (person, _) = user(&world, "dev", &[(world.team, Role::Developer)]).await;
    let short: TokenId = world.id();
    let end = world.clock.now() + Duration::from_secs(60);
    let spec = Token { expires: Some(end), ..token_spec(short, TokenScope::User(person)) };
    world.commit([Change::create(short, TeamId::SYSTEM, spec)]).await;
    let mint = |expires| {
        let id: TokenId = world.id();
        let spec = Token { expires, ..token_spec(id, TokenScope::Team(person, world.team)) };
        Change::create(id, world.team, spec)
    };
    denied(&world, Principal::Bearer(short), mint(None)).await;
    denied(&world, Principal::Bearer(short), mint(Some(end + Duration::from_millis(1)))).await;
    allowed(&world, Principal::Bearer(short), mint(Some(end))).await;
}

/// Whoever is nobody is told so, also when nothing is asked for.
pub async fn an_empty_batch_takes_a_valid_token<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let ghost: TokenId = world.id();
    let probe = Batch::new(Principal::Bearer(ghost))
        .expecting(Expectation::Exists(world.app.into()))
        .idempotent("probe", [0; 32]);
    let refused = world.store.commit(probe).await;
    assert!(matches!(refused, Err(StoreError::NotAllowed { .. })), "{refused:?}");
}
