//! Who is let in, and to what.

use std::time::Duration;

use flynn_core::client::{Credential, Endpoint, RemoteStore};
use flynn_core::conformance::{World, token_secret};
use flynn_core::election::{Campaign, Seat};
use flynn_core::noun::{
    Deployment, DeploymentId, Health, JobState, JobStatus, Kind, Role, Router, RouterId, TeamId, TokenId, TokenScope,
};
use flynn_core::port::{
    ArchiveQuery, Beat, Cursor, Elections, History, Measure, Member, Presence, Sample, SampleQuery, Samples, Store,
    Subject,
};
use flynn_core::rule::Denial;
use flynn_core::server::peer::PeerOptions;
use flynn_core::{Batch, Change, Clock, Principal, Revision, Scope, StoreError, TokenSecret};

use super::harness::Remote;
use super::people::{member, second_node, token, world};
use super::streams::served;

fn denial<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Denial {
    match result {
        Err(StoreError::NotAllowed { denial, .. }) => denial,
        other => panic!("expected to be denied, got {other:?}"),
    }
}

fn client(world: &World<Remote>, credential: Credential) -> RemoteStore {
    RemoteStore::connect(world.store.server.endpoint(), credential).unwrap()
}

#[tokio::test]
async fn without_a_good_token_nobody_is_let_in() {
    let world = world().await;
    let (_, _, good) = member(&world, Role::Viewer).await;
    let scope = Scope::Team(world.team);
    let unknown = client(&world, Credential::Token(TokenSecret::mint().unwrap()));
    assert_eq!(denial(unknown.snapshot(scope).await), Denial::UnknownToken);
    assert_eq!(denial(unknown.commit(Batch::new(Principal::Bearer(good))).await), Denial::UnknownToken);
    let nobody = client(&world, Credential::Socket);
    assert_eq!(denial(nobody.snapshot(scope).await), Denial::Anonymous);
    assert_eq!(denial(nobody.principal().await), Denial::Anonymous);
    let known = world.store.server.bearer(good);
    assert!(known.snapshot(scope).await.unwrap().objects.contains(world.app.into()));
    assert_eq!(known.principal().await.unwrap(), Some(Principal::Bearer(good)));
    assert_eq!(world.store.trusted.principal().await.unwrap(), None);
}

#[tokio::test]
async fn a_revoked_or_expired_token_is_refused_at_the_door() {
    let world = world().await;
    let (user, _, revoked) = member(&world, Role::Viewer).await;
    let until = world.clock.now() + Duration::from_secs(60);
    let short = token(&world, TokenScope::User(user), Some(until)).await;
    let ask = async |token: TokenId| world.store.server.bearer(token).snapshot(Scope::Team(world.team)).await;
    ask(short).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(denial(ask(short).await), Denial::ExpiredToken);
    ask(revoked).await.unwrap();
    world.commit([Change::remove(revoked)]).await;
    assert_eq!(denial(ask(revoked).await), Denial::UnknownToken);
}

#[tokio::test]
async fn over_the_socket_a_token_counts_before_the_user() {
    let world = world().await;
    let (_, _, viewer) = member(&world, Role::Viewer).await;
    let socket = Endpoint::unix(&world.store.server.socket);
    let as_viewer = RemoteStore::connect(socket, Credential::Token(token_secret(viewer))).unwrap();
    assert_eq!(as_viewer.principal().await.unwrap(), Some(Principal::Bearer(viewer)));
    assert!(matches!(denial(as_viewer.snapshot(Scope::All).await), Denial::Unreadable { .. }));
}

#[tokio::test]
async fn a_node_reads_its_own_scope_and_no_other() {
    let world = world().await;
    let other = second_node(&world).await;
    let agent = world.store.server.bearer(token(&world, TokenScope::Node(world.node), None).await);
    agent.snapshot(Scope::Node(world.node)).await.unwrap();
    for scope in [Scope::Node(other), Scope::All, Scope::Router, Scope::Team(world.team), Scope::App(world.app)] {
        assert!(matches!(denial(agent.snapshot(scope).await), Denial::Unreadable { .. }), "{scope:?}");
    }
}

#[tokio::test]
async fn nobody_acts_as_somebody_else() {
    let world = world().await;
    let other = second_node(&world).await;
    let (_, _, developer) = member(&world, Role::Developer).await;
    let own = token(&world, TokenScope::Node(world.node), None).await;
    let (person, agent) = (world.store.server.bearer(developer), world.store.server.bearer(own));
    let rename = Change::update(world.app, flynn_core::noun::App::new("mine".parse().unwrap()));
    for named in [Principal::System, Principal::Bearer(own), Principal::Node(world.node)] {
        let refused = person.commit(Batch::new(named).with(rename.clone())).await;
        assert!(matches!(denial(refused), Denial::Reserved { .. }), "{named:?}");
    }
    for named in [Principal::System, Principal::Bearer(developer), Principal::Node(other)] {
        let refused = agent.commit(Batch::new(named)).await;
        assert!(matches!(denial(refused), Denial::Reserved { .. }), "{named:?}");
    }
    person.commit(Batch::new(Principal::Bearer(developer)).with(rename)).await.unwrap();
}

#[tokio::test]
async fn the_agent_of_a_node_acts_as_the_node_while_its_token_is_good() {
    let world = world().await;
    let job = world.create_job(1).await;
    world.place(job).await.unwrap();
    let own = token(&world, TokenScope::Node(world.node), None).await;
    let agent = world.store.server.bearer(own);
    let report = |state| {
        let status = JobStatus { state, since: world.clock.now() };
        agent.commit(Batch::new(Principal::Node(world.node)).with(Change::report(job, status)))
    };
    report(JobState::Starting).await.unwrap();
    assert_eq!(world.store.audit(Cursor::default(), 10).await.unwrap().entries, [], "loops are not audited");
    world.commit([Change::remove(own)]).await;
    let up = JobState::Up { address: None, health: Health::Healthy };
    assert_eq!(denial(report(up).await), Denial::UnknownToken);
}

#[tokio::test]
async fn history_is_read_by_who_may_read_the_app() {
    let world = world().await;
    let (_, _, viewer) = member(&world, Role::Viewer).await;
    let elsewhere = second_node(&world).await;
    let viewer = world.store.server.bearer(viewer);
    let agent = world.store.server.bearer(token(&world, TokenScope::Node(elsewhere), None).await);
    let of = |app| ArchiveQuery { kind: Kind::Job, app };
    viewer.archived(of(Some(world.app)), Cursor::default(), 10).await.unwrap();
    denial(viewer.archived(of(None), Cursor::default(), 10).await);
    denial(viewer.audit(Cursor::default(), 10).await);
    denial(agent.archived(of(Some(world.app)), Cursor::default(), 10).await);
}

#[tokio::test]
async fn seats_are_for_who_may_change_what_is_led() {
    let world = world().await;
    let (_, _, developer) = member(&world, Role::Developer).await;
    let developer = world.store.server.bearer(developer);
    let agent = world.store.server.bearer(token(&world, TokenScope::Node(world.node), None).await);
    let id: DeploymentId = world.id();
    world.commit([Change::create(id, world.team, Deployment { ..world.deployment() })]).await;
    let term = Duration::from_secs(10);
    let Campaign::Won(lease) = developer.campaign(Seat::Deployment(id), "tool", term).await.unwrap() else { panic!() };
    denial(agent.campaign(Seat::Deployment(id), "agent", term).await);
    denial(agent.resign(Seat::Deployment(id), lease.epoch).await);
    developer.resign(Seat::Deployment(id), lease.epoch).await.unwrap();
    denial(developer.campaign(Seat::Controller, "tool", term).await);
    world.store.trusted.campaign(Seat::Controller, "controller", term).await.unwrap();
}

#[tokio::test]
async fn members_say_for_themselves_that_they_are_there() {
    let world = world().await;
    let other = second_node(&world).await;
    let agent = world.store.server.bearer(token(&world, TokenScope::Node(world.node), None).await);
    let beat = Beat { incarnation: "a".into(), acknowledged: Revision::new(3) };
    let lease = Duration::from_secs(15);
    agent.beat(Member::Node(world.node), beat.clone(), lease).await.unwrap();
    denial(agent.beat(Member::Node(other), beat.clone(), lease).await);
    denial(agent.seen().await);
    let seen = world.store.trusted.seen().await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].member, &seen[0].beat), (Member::Node(world.node), &beat));
    assert_eq!(seen[0].until, world.clock.now() + lease);
}

#[tokio::test]
async fn nodes_measure_their_own_jobs_and_routers_all_apps() {
    let world = world().await;
    let (placed, pending, gone) = (world.create_job(1).await, world.create_job(2).await, world.id());
    world.place(placed).await.unwrap();
    let router: RouterId = world.id();
    world.commit([Change::create(router, TeamId::SYSTEM, Router { name: "r1".parse().unwrap() })]).await;
    let agent = world.store.server.bearer(token(&world, TokenScope::Node(world.node), None).await);
    let edge = world.store.server.bearer(token(&world, TokenScope::Router(router), None).await);
    let (_, _, viewer) = member(&world, Role::Viewer).await;
    let viewer = world.store.server.bearer(viewer);
    let sample = |job, value| Sample {
        subject: Subject { app: world.app, process: "web".parse().unwrap(), release: world.release, job },
        measure: Measure::CpuMillis,
        at: world.clock.now(),
        value,
    };
    agent.record(vec![sample(Some(placed), 0.1), sample(Some(gone), 9.0)]).await.unwrap();
    denial(agent.record(vec![sample(Some(placed), 7.0), sample(Some(pending), 7.0)]).await);
    denial(agent.record(vec![sample(None, 7.0)]).await);
    denial(viewer.record(vec![sample(Some(placed), 7.0)]).await);
    edge.record(vec![sample(None, 0.3)]).await.unwrap();
    let refused = edge.record(vec![sample(None, f64::NAN)]).await;
    assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    let query = SampleQuery {
        app: world.app,
        process: Some("web".parse().unwrap()),
        release: Some(world.release),
        measure: Measure::CpuMillis,
        window: Duration::from_secs(60),
    };
    let values: Vec<f64> = viewer.query(query.clone()).await.unwrap().iter().map(|sample| sample.value).collect();
    assert_eq!(values, [0.1, 0.3]);
    denial(agent.query(query).await);
}

#[tokio::test]
async fn people_can_be_left_to_the_public_api() {
    let (_, world, server) = served(PeerOptions::default().without_people()).await;
    let (_, _, owner) = member(&world, Role::Owner).await;
    let person = server.bearer(owner);
    let rename = Change::update(world.app, flynn_core::noun::App::new("mine".parse().unwrap()));
    let refused = person.commit(Batch::new(Principal::Bearer(owner)).with(rename)).await;
    assert!(matches!(denial(refused), Denial::Reserved { .. }));
    assert!(matches!(denial(person.snapshot(Scope::Team(world.team)).await), Denial::Reserved { .. }));
    assert_eq!(person.principal().await.unwrap(), Some(Principal::Bearer(owner)));
    let agent = server.bearer(token(&world, TokenScope::Node(world.node), None).await);
    agent.snapshot(Scope::Node(world.node)).await.unwrap();
    agent.commit(Batch::new(Principal::Node(world.node))).await.unwrap();
    server.trusted().snapshot(Scope::All).await.unwrap();
}
