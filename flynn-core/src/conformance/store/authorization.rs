//! Nobody does what is not theirs to do, whichever way they come.

use std::time::Duration;

use crate::change::{Batch, Change, Expectation};
use crate::conformance::world::{app, in_state, release, route};
use crate::conformance::{StoreHarness, World, token_secret};
use crate::election::{Campaign, Seat};
use crate::error::StoreError;
use crate::name::{NodeName, TeamName, UserName};
use crate::noun::{
    App, AppId, AppLifecycle, AppStatus, Build, BuildId, BuildIntent, Exit, Grant, GrantId, Health, Job, JobId,
    JobState, Liveness, Node, NodeId, NodeStatus, Quota, QuotaId, Release, ReleaseId, Role, RouteId, Router, RouterId,
    RouterStatus, Standing, Team, TeamId, Token, TokenId, TokenScope, Traffic, User, UserId,
};
use crate::port::{Elections, EventLog, History, Store};
use crate::revision::Revision;
use crate::rule::{Bounds, Principal};
use crate::value::Digest;

pub(super) trait Anything: Store + EventLog + History + Elections + 'static {}

impl<S: Store + EventLog + History + Elections + 'static> Anything for S {}

pub(super) async fn denied<S: Anything>(world: &World<S>, principal: Principal, change: Change) {
    let before = world.store.snapshot(crate::scope::Scope::All).await.unwrap();
    let refused = world.commit_as(principal, [change.clone()]).await;
    assert!(matches!(refused, Err(StoreError::NotAllowed { .. })), "{principal:?} {change:?}: {refused:?}");
    assert_eq!(world.store.snapshot(crate::scope::Scope::All).await.unwrap(), before);
}

/// Refused, and just as if it were not there.
pub(super) async fn hidden<S: Anything>(world: &World<S>, principal: Principal, change: Change) {
    let id = change.id();
    let refused = world.commit_as(principal, [change.clone()]).await;
    let is_missing = matches!(refused, Err(StoreError::NotFound { id: missing, .. }) if missing == id);
    assert!(is_missing, "{principal:?} {change:?}: {refused:?}");
}

pub(super) async fn allowed<S: Anything>(world: &World<S>, principal: Principal, change: Change) {
    let done = world.commit_as(principal, [change.clone()]).await;
    assert!(done.is_ok(), "{principal:?} {change:?}: {done:?}");
}

/// A user with a grant for each role named, and a token for all they may do.
pub(super) async fn user<S: Anything>(world: &World<S>, name: &str, grants: &[(TeamId, Role)]) -> (UserId, Principal) {
    let user: UserId = world.id();
    world
        .commit([Change::create(
            user,
            TeamId::SYSTEM,
            User { name: UserName::new(name).unwrap(), standing: Standing::Member },
        )])
        .await;
    for (team, role) in grants {
        let id: GrantId = world.id();
        world.commit([Change::create(id, *team, Grant { user, team: *team, role: *role })]).await;
    }
    let token = token(world, TokenScope::User(user)).await;
    (user, token)
}

pub(super) fn token_spec(id: TokenId, scope: TokenScope) -> Token {
    Token { hash: token_secret(id).hash(), scope, label: "test".into(), expires: None }
}

pub(super) async fn token<S: Anything>(world: &World<S>, scope: TokenScope) -> Principal {
    let id: TokenId = world.id();
    let team = match scope {
        TokenScope::Team(_, team) => team,
        TokenScope::App(..) => world.team,
        _ => TeamId::SYSTEM,
    };
    world.commit([Change::create(id, team, token_spec(id, scope))]).await;
    Principal::Bearer(id)
}

async fn second_node<S: Anything>(world: &World<S>) -> NodeId {
    let id: NodeId = world.id();
    world.commit([Change::create(id, TeamId::SYSTEM, Node::new(NodeName::new("n2").unwrap()))]).await;
    id
}

async fn second_team<S: Anything>(world: &World<S>) -> (TeamId, AppId) {
    let (team, id): (TeamId, AppId) = (world.id(), world.id());
    world
        .commit([
            Change::create(team, TeamId::SYSTEM, Team { name: TeamName::new("blue").unwrap() }),
            Change::create(id, team, app("blue-app")),
        ])
        .await;
    (team, id)
}

/// Another node's job, a spec, an app: all closed to a node, as principal and by token.
pub async fn a_node_reports_on_its_own_jobs_and_nothing_else<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let other = second_node(&world).await;
    let id = world.create_job(1).await;
    world.place(id).await.unwrap();
    let pending = world.create_job(2).await;
    let by_token = token(&world, TokenScope::Node(world.node)).await;
    let starting = in_state(id, JobState::Starting);
    denied(&world, Principal::Node(other), starting.clone()).await;
    for node in [Principal::Node(world.node), by_token] {
        denied(&world, node, in_state(pending, JobState::Starting)).await;
        denied(&world, node, Change::update(id, Job { desired: crate::noun::Desired::Down, ..world.job(1) })).await;
        denied(&world, node, Change::report(world.app, AppStatus { release: None })).await;
        denied(&world, node, Change::update(world.app, app("mine"))).await;
        denied(&world, node, Change::remove(id)).await;
        denied(&world, node, Change::report(other, NodeStatus::default())).await;
        denied(&world, node, Change::update(world.node, Node::new(NodeName::new("n3").unwrap()))).await;
    }
    allowed(&world, Principal::Node(world.node), starting).await;
    allowed(&world, by_token, in_state(id, JobState::Up { address: None, health: Health::Healthy })).await;
    allowed(&world, by_token, in_state(id, JobState::Exited(Exit::Code(3)))).await;
}

/// A node that would rather not have a job cannot say it was never given one. That it lost one it can say:
/// the supervisor of a job can die.
pub async fn a_node_cannot_send_a_job_back<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id = world.create_job(1).await;
    world.place(id).await.unwrap();
    let node = Principal::Node(world.node);
    denied(&world, node, in_state(id, JobState::default())).await;
    allowed(&world, node, in_state(id, JobState::Lost { reason: "its supervisor died".into() })).await;
}

/// After it was taken for lost, the controller decides when a node is back.
pub async fn a_node_does_not_call_itself_back<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let fresh = second_node(&world).await;
    let status = |liveness| NodeStatus { liveness, version: "1".into(), ..NodeStatus::default() };
    allowed(&world, Principal::Node(fresh), Change::report(fresh, status(Liveness::Ready))).await;
    world.commit([Change::report(fresh, status(Liveness::Lost))]).await;
    denied(&world, Principal::Node(fresh), Change::report(fresh, status(Liveness::Ready))).await;
    let known = NodeStatus { version: "2".into(), ..status(Liveness::Lost) };
    allowed(&world, Principal::Node(fresh), Change::report(fresh, known)).await;
}

/// A router has one thing to say.
pub async fn a_router_reports_on_itself_only<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (own, other): (RouterId, RouterId) = (world.id(), world.id());
    let named = |name: &str| Router { name: NodeName::new(name).unwrap() };
    world
        .commit([Change::create(own, TeamId::SYSTEM, named("r1")), Change::create(other, TeamId::SYSTEM, named("r2"))])
        .await;
    let status = RouterStatus { liveness: Liveness::Ready, version: "1".into() };
    let router = Principal::Router(own);
    allowed(&world, router, Change::report(own, status.clone())).await;
    denied(&world, router, Change::report(other, status)).await;
    denied(&world, router, Change::update(world.app, app("mine"))).await;
}

/// Viewers look, developers deploy, owners decide who belongs.
pub async fn roles_of_a_team_include_each_other<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let team = world.team;
    let (_, viewer) = user(&world, "viewer", &[(team, Role::Viewer)]).await;
    let (_, developer) = user(&world, "developer", &[(team, Role::Developer)]).await;
    let (_, owner) = user(&world, "owner", &[(team, Role::Owner)]).await;
    let (guest, nobody) = user(&world, "nobody", &[]).await;
    let new_route = |id: RouteId, host: &str| Change::create(id, team, route(world.app, host));
    let ids: [RouteId; 4] = [1, 2, 3, 4].map(|number| RouteId::from_uuid(uuid::Uuid::from_u128(number)));
    denied(&world, nobody, new_route(ids[0], "a.example")).await;
    denied(&world, viewer, new_route(ids[1], "b.example")).await;
    allowed(&world, developer, new_route(ids[2], "c.example")).await;
    allowed(&world, owner, new_route(ids[3], "d.example")).await;
    let invitation = |id: u128| {
        Change::create(
            GrantId::from_uuid(uuid::Uuid::from_u128(id)),
            team,
            Grant { user: guest, team, role: Role::Viewer },
        )
    };
    denied(&world, viewer, invitation(10)).await;
    denied(&world, developer, invitation(11)).await;
    allowed(&world, owner, invitation(12)).await;
    for person in [viewer, developer, owner] {
        hidden(&world, person, Change::update(world.node, Node::new(NodeName::new("n9").unwrap()))).await;
        denied(&world, person, Change::remove(world.app)).await;
    }
    allowed(&world, developer, Change::remove(ids[3])).await;
}

/// A grant in one team opens nothing in another.
pub async fn teams_are_closed_to_each_other<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (blue, theirs) = second_team(&world).await;
    let (_, red) = user(&world, "red", &[(world.team, Role::Owner)]).await;
    let id: RouteId = world.id();
    hidden(&world, red, Change::update(theirs, app("taken"))).await;
    denied(&world, red, Change::create(id, blue, route(theirs, "a.example"))).await;
    let crossed = world.commit_as(red, [Change::create(id, world.team, route(theirs, "a.example"))]).await;
    assert!(matches!(crossed, Err(StoreError::NotFound { id, .. }) if id == theirs.into()), "{crossed:?}");
    let (_, both) = user(&world, "both", &[(world.team, Role::Viewer), (blue, Role::Developer)]).await;
    allowed(&world, both, Change::update(theirs, app("ours"))).await;
    denied(&world, both, Change::update(world.app, app("ours-too"))).await;
}

/// No role lets a person say what is so, or put work on a node by hand.
pub async fn people_neither_report_nor_place<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (_, owner) = user(&world, "owner", &[(world.team, Role::Owner)]).await;
    let admin: UserId = world.id();
    let root = User { name: UserName::new("root").unwrap(), standing: Standing::Admin };
    world.commit([Change::create(admin, TeamId::SYSTEM, root)]).await;
    let admin = token(&world, TokenScope::User(admin)).await;
    let job = world.create_job(1).await;
    let (service, fresh, placed) = (world.id(), world.id(), world.id());
    for person in [owner, admin] {
        denied(&world, person, in_state(job, JobState::Pending { reason: "because".into() })).await;
        denied(&world, person, Change::report(world.app, AppStatus { release: Some(world.release) })).await;
        denied(&world, person, Change::create(service, world.team, world.job(7))).await;
        let by_hand = Job { node: Some(world.node), ..world.one_off() };
        denied(&world, person, Change::create(placed, world.team, by_hand)).await;
        denied(&world, person, Change::update(job, Job { node: Some(world.node), ..world.job(1) })).await;
    }
    allowed(&world, owner, Change::create(fresh, world.team, world.one_off())).await;
    allowed(&world, admin, Change::update(job, Job { desired: crate::noun::Desired::Down, ..world.job(1) })).await;
}

/// Whoever has no business with an object learns no more of it than of one that is not there: not by changing it, not
/// by naming it, and not by what a commit expects.
pub async fn what_a_person_may_not_know_of_is_not_there<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (_, theirs) = second_team(&world).await;
    let (other, _) = user(&world, "other", &[(world.team, Role::Owner)]).await;
    let (own, red) = user(&world, "red", &[(world.team, Role::Owner)]).await;
    let Principal::Bearer(shown) = red else { unreachable!() };
    let none: AppId = world.id();
    for person in [red, token(&world, TokenScope::Team(own, world.team)).await] {
        hidden(&world, person, Change::update(none, app("mine"))).await;
        hidden(&world, person, Change::update(theirs, app("mine"))).await;
        hidden(&world, person, Change::remove(theirs)).await;
        hidden(&world, person, Change::report(theirs, AppStatus { release: None })).await;
        hidden(&world, person, Change::remove(world.node)).await;
        hidden(&world, person, Change::remove(other)).await;
        let id: RouteId = world.id();
        for app in [theirs, none] {
            let named = world.commit_as(person, [Change::create(id, world.team, route(app, "a.example"))]).await;
            assert!(matches!(named, Err(StoreError::NotFound { id, .. }) if id == app.into()), "{named:?}");
        }
    }
    let expect = async |expectation| world.store.commit(Batch::new(red).expecting(expectation)).await.map(drop);
    for id in [theirs.into(), none.into(), world.node.into()] {
        for wanted in [
            Expectation::Exists(id),
            Expectation::Spec(id, Revision::new(1)),
            Expectation::Status(id, Revision::new(1)),
        ] {
            let refused = expect(wanted).await;
            let is_missing = matches!(refused, Err(StoreError::NotFound { id: missing, .. }) if missing == id);
            assert!(is_missing, "{wanted:?}: {refused:?}");
        }
        expect(Expectation::Absent(id)).await.unwrap();
    }
    for id in [world.app.into(), world.team.into(), own.into(), shown.into()] {
        expect(Expectation::Exists(id)).await.unwrap();
    }
    denied(&world, red, Change::remove(world.team)).await;
}

/// The owner of one team cannot invite themselves into another.
pub async fn a_grant_is_made_by_its_own_team<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (blue, theirs) = second_team(&world).await;
    let (person, red) = user(&world, "red", &[(world.team, Role::Owner)]).await;
    let id: GrantId = world.id();
    let grant = Grant { user: person, team: blue, role: Role::Owner };
    let refused = world.commit_as(red, [Change::create(id, world.team, grant.clone())]).await;
    assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    denied(&world, red, Change::create(id, blue, grant)).await;
    hidden(&world, red, Change::update(theirs, app("taken"))).await;
}

/// Nodes, users and quotas are the cluster's, and what the cluster runs for itself is closed to teams.
pub async fn what_is_the_clusters_stays_the_clusters<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (node, quota, of_system, id): (NodeId, QuotaId, AppId, RouteId) =
        (world.id(), world.id(), world.id(), world.id());
    let named = Node::new(NodeName::new("n9").unwrap());
    for change in
        [Change::create(node, world.team, named), Change::create(quota, world.team, Quota::unlimited(world.team))]
    {
        let refused = world.commit_as(Principal::System, [change]).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    }
    world.commit([Change::create(of_system, TeamId::SYSTEM, app("dashboard"))]).await;
    let (_, red) = user(&world, "red", &[(world.team, Role::Owner)]).await;
    let crossed = world.commit_as(red, [Change::create(id, world.team, route(of_system, "a.example"))]).await;
    assert!(matches!(crossed, Err(StoreError::NotFound { .. })), "{crossed:?}");
}

/// The way without return is for owners; an app token changes neither life nor name of its app.
pub async fn only_owners_destroy_an_app<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (person, developer) = user(&world, "developer", &[(world.team, Role::Developer)]).await;
    let (_, owner) = user(&world, "owner", &[(world.team, Role::Owner)]).await;
    let of_app = token(&world, TokenScope::App(person, world.app)).await;
    let quiet = App { traffic: Traffic::Maintenance, ..app("web") };
    let end = App { lifecycle: AppLifecycle::Destroying, ..quiet.clone() };
    allowed(&world, of_app, Change::update(world.app, quiet)).await;
    denied(&world, of_app, Change::update(world.app, app("renamed"))).await;
    denied(&world, of_app, Change::update(world.app, end.clone())).await;
    denied(&world, developer, Change::update(world.app, end.clone())).await;
    allowed(&world, owner, Change::update(world.app, end)).await;
}

/// The loop that runs everything cannot make itself or others powerful.
pub async fn the_controller_does_not_decide_who_may_do_what<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let Campaign::Won(lease) = world.store.campaign(Seat::Controller, "a", Duration::from_secs(60)).await.unwrap()
    else {
        panic!("nobody else asked")
    };
    let controller = Principal::Controller(lease.epoch);
    let (person, id): (UserId, TokenId) = (world.id(), world.id());
    let root = User { name: UserName::new("root").unwrap(), standing: Standing::Admin };
    denied(&world, controller, Change::create(person, TeamId::SYSTEM, root)).await;
    denied(&world, controller, Change::create(id, TeamId::SYSTEM, token_spec(id, TokenScope::Node(world.node)))).await;
    let job = world.create_job(1).await;
    let placed = Job { node: Some(world.node), ..world.job(1) };
    let changes = [Change::update(job, placed), in_state(job, JobState::Assigned)];
    world.commit_as(controller, changes).await.unwrap();
}

/// Digests are no secret: the image or source of another team cannot be had by naming it.
pub async fn a_team_names_only_what_it_has<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (blue, blue_app) = second_team(&world).await;
    let (_, red_developer) = user(&world, "anna", &[(world.team, Role::Developer)]).await;
    let (_, blue_developer) = user(&world, "ben", &[(blue, Role::Developer)]).await;
    let digest = |byte| Digest::from_bytes([byte; 32]);
    let build = |app, number, source| Build {
        app,
        number,
        source: digest(source),
        commit: None,
        branch: None,
        resources: Bounds::LEAST,
        node: None,
        desired: BuildIntent::Finish,
    };
    let (own, secret): (ReleaseId, BuildId) = (world.id(), world.id());
    world
        .commit([
            Change::create(secret, world.team, build(world.app, 1, 5)),
            Change::create(own, blue, Release { image: digest(2), ..release(blue_app, 1) }),
        ])
        .await;
    let release_of = |app, number, image| Release { image: digest(image), ..release(app, number) };
    // Image 1 is that of the other team's release, image 9 nobody's.
    for image in [1, 9] {
        let id: ReleaseId = world.id();
        denied(&world, blue_developer, Change::create(id, blue, release_of(blue_app, 2, image))).await;
    }
    let run: JobId = world.id();
    let one_off = Job { app: blue_app, release: own, ..world.one_off() };
    denied(&world, blue_developer, Change::create(run, blue, one_off)).await;
    for source in [5, 9] {
        let id: BuildId = world.id();
        denied(&world, blue_developer, Change::create(id, blue, build(blue_app, 1, source))).await;
    }
    let (again, rebuilt, red_run): (ReleaseId, BuildId, JobId) = (world.id(), world.id(), world.id());
    allowed(&world, blue_developer, Change::create(again, blue, release_of(blue_app, 2, 2))).await;
    allowed(&world, red_developer, Change::create(rebuilt, world.team, build(world.app, 2, 5))).await;
    allowed(&world, red_developer, Change::create(red_run, world.team, world.one_off())).await;
}
