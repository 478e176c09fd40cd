//! Names and slots have one holder.

use futures::future::join_all;

use crate::change::Change;
use crate::conformance::world::{app, in_state, process, release, route};
use crate::conformance::{StoreHarness, World};
use crate::error::{Conflict, StoreError};
use crate::name::{AppName, HostPattern, TeamName};
use crate::noun::{
    AppId, Certificate, CertificateId, CertificateSource, DeploymentId, DeploymentState, DeploymentStatus, Entry, Exit,
    JobState, ProxyProtocol, ReleaseId, Route, RouteId, Team, TeamId,
};
use crate::rule::{Claim, Principal};

fn claimed<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Claim {
    match result {
        Err(StoreError::Conflict { conflict: Conflict::Claimed { claim, .. }, .. }) => claim,
        other => panic!("expected a claimed name, got {other:?}"),
    }
}

/// The second who wants a name learns who has it.
pub async fn a_name_has_one_holder<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id: AppId = world.id();
    let refused = world.commit_as(Principal::System, [Change::create(id, world.team, app("web"))]).await;
    match refused {
        Err(StoreError::Conflict { conflict: Conflict::Claimed { claim, holder }, .. }) => {
            assert_eq!(claim, Claim::AppName(AppName::new("web").unwrap()));
            assert_eq!(holder, world.app.into());
        }
        other => panic!("{other:?}"),
    }
    let other = world.create_app("other").await;
    claimed(world.commit_as(Principal::System, [Change::update(other, app("web"))]).await);
    let second: ReleaseId = world.id();
    claimed(world.commit_as(Principal::System, [Change::create(second, world.team, release(world.app, 1))]).await);
    world.commit([Change::create(second, world.team, release(world.app, 2))]).await;
}

/// Of twenty who ask for one domain at the same time, one gets it.
pub async fn of_racing_claims_one_wins<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let routes: Vec<RouteId> = (0..20).map(|_| world.id()).collect();
    let asked = routes.iter().map(|id| {
        let change = Change::create(*id, world.team, route(world.app, "shop.example"));
        let store = world.store.clone();
        tokio::spawn(async move {
            use crate::port::Store;
            store.commit(crate::change::Batch::new(Principal::System).with(change)).await
        })
    });
    let outcomes: Vec<_> = join_all(asked).await.into_iter().map(Result::unwrap).collect();
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(won, 1, "{outcomes:?}");
    outcomes.into_iter().filter(Result::is_err).for_each(|lost| drop(claimed(lost)));
}

/// A name is free once its holder is gone.
pub async fn a_removed_holder_frees_its_name<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let first = world.create_app("shop").await;
    world.commit([Change::remove(first)]).await;
    let second = world.create_app("shop").await;
    world.commit([Change::update(second, app("store"))]).await;
    world.create_app("shop").await;
}

/// Two objects can exchange their names in one batch.
pub async fn one_batch_can_pass_a_name_on<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (red, blue) = (world.create_app("red").await, world.create_app("blue").await);
    world.commit([Change::update(red, app("blue")), Change::update(blue, app("red"))]).await;
    assert_eq!(world.get(red).await.unwrap().spec.name.as_str(), "blue");
    let id: AppId = world.id();
    world
        .commit([Change::create(id, world.team, app("green")), Change::remove(red), Change::update(id, app("blue"))])
        .await;
    claimed(world.commit_as(Principal::System, [Change::update(blue, app("blue"))]).await);
}

/// The paths of a host are shared by the apps of one team and closed to all others.
pub async fn a_host_belongs_to_one_team<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (blue, theirs) = second_team(&world).await;
    let below = |app, path: &str| {
        let mut route = route(app, "shop.example");
        if let Entry::Http { path: prefix, .. } = &mut route.entry {
            *prefix = path.parse().unwrap();
        }
        route
    };
    let (root, api, stolen): (RouteId, RouteId, RouteId) = (world.id(), world.id(), world.id());
    let other = world.create_app("other").await;
    world.commit([Change::create(root, world.team, below(world.app, "/"))]).await;
    world.commit([Change::create(api, world.team, below(other, "/api"))]).await;
    let steal = || world.commit_as(Principal::System, [Change::create(stolen, blue, below(theirs, "/login"))]);
    let refused = steal().await;
    assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::HostTaken { .. }, .. })), "{refused:?}");
    world.commit([Change::remove(root)]).await;
    assert!(steal().await.is_err(), "one route of the first team is left");
    world.commit([Change::remove(api)]).await;
    steal().await.unwrap();
}

/// `web.1` can be started again once the job that had the number has ended.
pub async fn an_ended_job_frees_its_instance_number<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let first = world.create_job(1).await;
    world.place(first).await.unwrap();
    let second = world.id();
    let again = || world.commit_as(Principal::System, [Change::create(second, world.team, world.job(1))]);
    claimed(again().await);
    world.commit([in_state(first, JobState::Exited(Exit::Signal(15)))]).await;
    again().await.unwrap();
}

/// A second deployment must wait for the end of the first.
pub async fn an_app_has_one_open_deployment<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let deployment = world.deployment();
    let (first, second): (DeploymentId, DeploymentId) = (world.id(), world.id());
    world.commit([Change::create(first, world.team, deployment.clone())]).await;
    let next = || world.commit_as(Principal::System, [Change::create(second, world.team, deployment.clone())]);
    claimed(next().await);
    let done = DeploymentStatus { state: DeploymentState::Done, ..DeploymentStatus::default() };
    world.commit([Change::report(first, done)]).await;
    next().await.unwrap();
}

/// `*.shop.example` and `login.shop.example` cannot be of two teams, whoever comes first.
pub async fn a_wildcard_belongs_to_one_team<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (blue, theirs) = second_team(&world).await;
    let ids: [RouteId; 4] = [world.id(), world.id(), world.id(), world.id()];
    let ask = |id, team, app, host| world.commit_as(Principal::System, [Change::create(id, team, route(app, host))]);
    let taken = |refused| {
        assert!(
            matches!(refused, Err(StoreError::Conflict { conflict: Conflict::HostTaken { .. }, .. })),
            "{refused:?}"
        )
    };
    ask(ids[0], world.team, world.app, "*.shop.example").await.unwrap();
    taken(ask(ids[1], blue, theirs, "login.shop.example").await);
    ask(ids[1], world.team, world.app, "login.shop.example").await.unwrap();
    ask(ids[2], blue, theirs, "shop.example").await.expect("a wildcard is not the name above it");
    ask(ids[3], blue, theirs, "a.b.shop.example").await.expect("a wildcard stands for one label");
    world.commit([Change::remove(ids[0])]).await;
    taken(ask(ids[0], blue, theirs, "*.shop.example").await);
    world.commit([Change::remove(ids[1])]).await;
    ask(ids[0], blue, theirs, "*.shop.example").await.unwrap();
}

/// Nobody gets a certificate for another team's host.
pub async fn certificates_are_for_own_hosts<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (blue, theirs) = second_team(&world).await;
    let (of_route, id): (RouteId, CertificateId) = (world.id(), world.id());
    let certificate = |app| Certificate {
        app,
        hosts: [HostPattern::new("shop.example").unwrap()].into(),
        source: CertificateSource::Acme,
    };
    world.commit([Change::create(of_route, world.team, route(world.app, "shop.example"))]).await;
    let refused = world.commit_as(Principal::System, [Change::create(id, blue, certificate(theirs))]).await;
    assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::HostTaken { .. }, .. })), "{refused:?}");
    world.commit([Change::create(id, world.team, certificate(world.app))]).await;
}

/// A host has one certificate, which can be passed on in one batch.
pub async fn a_host_has_one_certificate<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let other = world.create_app("other").await;
    let (first, second): (CertificateId, CertificateId) = (world.id(), world.id());
    let certificate = |app, hosts: &[&str]| Certificate {
        app,
        hosts: hosts.iter().map(|host| HostPattern::new(host).unwrap()).collect(),
        source: CertificateSource::Acme,
    };
    world.commit([Change::create(first, world.team, certificate(world.app, &["a.example", "*.b.example"]))]).await;
    for (app, host) in [(world.app, "a.example"), (other, "*.b.example")] {
        let again = Change::create(second, world.team, certificate(app, &[host, "c.example"]));
        let claim = claimed(world.commit_as(Principal::System, [again]).await);
        assert_eq!(claim, Claim::CertificateHost(HostPattern::new(host).unwrap()));
    }
    let rest = Change::update(first, certificate(world.app, &["*.b.example"]));
    world.commit([Change::create(second, world.team, certificate(other, &["a.example", "x.b.example"])), rest]).await;
    world.commit([Change::remove(first)]).await;
    world.commit([Change::create(first, world.team, certificate(world.app, &["*.b.example"]))]).await;
}

/// An app cannot have port 443 of the router.
pub async fn the_routers_own_ports_are_not_for_apps<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let tcp = |port| Route {
        app: world.app,
        process: process("web"),
        entry: Entry::Tcp { port, proxy_protocol: ProxyProtocol::None },
    };
    let id: RouteId = world.id();
    for port in [0, 22, 443, 1_023] {
        let refused = world.commit_as(Principal::System, [Change::create(id, world.team, tcp(port))]).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{port}: {refused:?}");
    }
    world.commit([Change::create(id, world.team, tcp(1_024))]).await;
}

async fn second_team<S>(world: &World<S>) -> (TeamId, AppId)
where
    S: crate::port::Store + crate::port::EventLog + crate::port::History + crate::port::Elections + 'static,
{
    let (blue, theirs): (TeamId, AppId) = (world.id(), world.id());
    world
        .commit([
            Change::create(blue, TeamId::SYSTEM, Team { name: TeamName::new("blue").unwrap() }),
            Change::create(theirs, blue, app("theirs")),
        ])
        .await;
    (blue, theirs)
}
