//! From the first build of an app to its end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::time::Duration;

use flynn_core::name::{AppName, PathPrefix, VolumeName};
use flynn_core::noun::{
    App, Build, BuildState, Deployment, DeploymentState, Exit, Formation, Job, JobState, Quota, QuotaId, Release,
    ReleaseCause, Route, Strategy, Volume, VolumeId,
};
use flynn_core::port::{ArchiveQuery, Cursor, History};
use flynn_core::{Change, Principal, TeamId};

use crate::sim::{Behaviour, Sim, process};

#[test]
fn a_build_becomes_a_release_that_is_deployed() {
    let mut sim = Sim::new(1, 2, 1);
    let (first, second) = (sim.build(), sim.build());
    sim.settle();
    let releases: Vec<_> = sim.snapshot().objects.iter::<Release>().cloned().collect();
    let mut causes: Vec<_> = releases.iter().map(|release| (release.spec.number, release.spec.cause.clone())).collect();
    causes.sort_by_key(|(number, _)| *number);
    assert_eq!(causes, [(1, ReleaseCause::Build(first)), (2, ReleaseCause::Build(second))]);
    assert_eq!(releases[0].spec.commit.as_deref(), Some("abc"));
    assert_eq!(sim.healthy("web").len(), 1);
    let serving = sim.serving().unwrap();
    assert_eq!(sim.get(serving).unwrap().spec.number, 2);
    let deployments = sim.deployments();
    assert_eq!(deployments.len(), 2);
    assert_eq!(deployments[1].spec.from, Some(deployments[0].spec.to));
}

/// What a job is told of its app and release is what they are called when it is made.
#[test]
fn jobs_carry_the_names_of_app_and_release() {
    let mut sim = Sim::new(3, 1, 1);
    sim.deploy(Behaviour::Good, Strategy::AllAtOnce);
    sim.settle();
    sim.deploy(Behaviour::Good, Strategy::AllAtOnce);
    sim.settle();
    let told = |sim: &Sim| -> Vec<(String, u64)> {
        let jobs = sim.jobs();
        jobs.iter().map(|job| (job.spec.workload.app.to_string(), job.spec.workload.release)).collect()
    };
    assert_eq!(told(&sim), [("shop".to_owned(), 2)]);
    let app = sim.get(sim.app).unwrap();
    let renamed = App { name: AppName::new("store").unwrap(), ..app.spec.clone() };
    sim.commit(Principal::System, [Change::update(app.id, renamed)]);
    sim.settle();
    assert_eq!(told(&sim), [("shop".to_owned(), 2)], "a rename restarts nothing");
    sim.crash(0, Exit::Code(3));
    sim.settle();
    assert_eq!(told(&sim), [("store".to_owned(), 2)]);
}

#[test]
fn what_is_old_goes_to_the_history_but_nothing_that_is_named() {
    let mut sim = Sim::new(2, 2, 1);
    for _ in 0..24 {
        sim.build();
    }
    sim.settle();
    let mut numbers: Vec<u64> = sim.snapshot().objects.iter::<Release>().map(|release| release.spec.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (5..=24).collect::<Vec<_>>());
    assert_eq!(sim.snapshot().objects.count::<Deployment>(), 20);
    assert_eq!(sim.snapshot().objects.count::<Build>(), 20);
    let serving = sim.serving().unwrap();
    for _ in 0..30 {
        sim.release(Behaviour::Good, &["web"]);
    }
    sim.settle();
    let left: Vec<u64> = sim.snapshot().objects.iter::<Release>().map(|release| release.spec.number).collect();
    assert_eq!(left.len(), 21);
    assert!(sim.get(serving).is_some(), "the release that serves was removed");
    assert_eq!(sim.snapshot().objects.count::<Build>(), 1, "a build outlives its release and would be deployed again");
    assert_eq!(sim.deployments().len(), 20);
}

#[test]
fn a_build_waits_for_room_like_a_job_and_can_be_cancelled() {
    let mut sim = Sim::new(3, 1, 1);
    sim.set_capacity("n1", flynn_core::value::Resources::ZERO);
    let build = sim.build();
    sim.settle();
    let BuildState::Pending { reason } = sim.get(build).unwrap().status.state.clone() else { panic!("it was placed") };
    assert!(reason.starts_with("no node fits: 1 of 1 is short of memory, "), "{reason}");
    let spec = sim.get(build).unwrap().spec.clone();
    let cancelled = Build { desired: flynn_core::noun::BuildIntent::Cancel, ..spec };
    sim.commit(Principal::System, [Change::update(build, cancelled)]);
    sim.settle();
    assert_eq!(sim.get(build).unwrap().status.state, BuildState::Cancelled);
}

#[test]
fn a_build_that_gets_no_node_fails_in_the_end_with_that_reason() {
    let mut sim = Sim::new(3, 1, 1);
    sim.set_capacity("n1", flynn_core::value::Resources::ZERO);
    let build = sim.build();
    let began = sim.now();
    let longest = sim.policy.build_wait;
    let state = |sim: &Sim| sim.get(build).unwrap().status.state.clone();
    sim.until(longest + Duration::from_secs(2), "it fails", |sim| state(sim).is_end());
    assert!(sim.now().since(began) >= longest, "too early");
    let BuildState::Failed { step, reason } = state(&sim) else { panic!("{:?}", state(&sim)) };
    let expect = "it could not be placed within 600 s: no node fits: 1 of 1 is short of memory, 1 of 1 is short of disk, \
                  1 of 1 is short of pids; nearest is n1, which lacks 512 MiB of memory and 1 GiB of disk and 512 of pids";
    assert_eq!((step.as_str(), reason.as_str()), ("placement", expect));
    sim.set_capacity("n1", crate::sim::room_for(4));
    let next = sim.build();
    sim.settle();
    assert!(matches!(sim.get(next).unwrap().status.state, BuildState::Succeeded(_)), "the next one is another matter");
}

#[test]
fn an_ended_one_off_job_stays_a_while_and_a_lost_one_is_not_repeated() {
    let mut sim = Sim::new(4, 2, 1);
    sim.deploy(Behaviour::Good, Strategy::AllAtOnce).unwrap();
    sim.settle();
    let job = sim.run_once();
    sim.ticks(4);
    let node = sim.get(job).unwrap().spec.node.unwrap();
    sim.report(node, job, JobState::Exited(flynn_core::noun::Exit::Code(3)));
    sim.ticks(110);
    assert!(sim.get(job).is_some());
    sim.ticks(12);
    assert!(sim.get(job).is_none());
    let query = ArchiveQuery { kind: flynn_core::noun::Kind::Job, app: Some(sim.app) };
    let archived = sim.block_on(sim.store.archived(query, Cursor::default(), 10)).unwrap();
    assert_eq!(archived.entries.len(), 1);
    let lost = sim.run_once();
    sim.ticks(3);
    let home = sim.get(lost).unwrap().spec.node.unwrap();
    let index = sim.nodes.keys().position(|node| *node == home).unwrap();
    sim.set_alive(index, false);
    sim.until(Duration::from_secs(20), "it is lost", |sim| {
        sim.get(lost).is_some_and(|job| matches!(job.status.state, JobState::Lost { .. }))
    });
    sim.until(Duration::from_secs(70), "it is filed away", |sim| sim.get(lost).is_none());
    assert!(sim.jobs().iter().all(|job| matches!(job.spec.purpose, flynn_core::noun::Purpose::Service { .. })));
}

#[test]
fn instances_follow_their_volume() {
    let mut sim = Sim::new(5, 3, 1);
    let id: VolumeId = sim.id();
    let volume = Volume {
        app: sim.app,
        name: VolumeName::new("data").unwrap(),
        process: process("web"),
        path: PathPrefix::new("/data").unwrap(),
        bytes: 1,
        node: None,
    };
    sim.commit(Principal::System, [Change::create(id, sim.team, volume)]);
    sim.scale(&[("web", 3)]);
    sim.deploy(Behaviour::Good, Strategy::OneByOne).unwrap();
    sim.settle();
    let home = sim.get(id).unwrap().spec.node.unwrap();
    assert!(sim.jobs().len() == 3 && sim.jobs().iter().all(|job| job.spec.node == Some(home)));
    let index = sim.nodes.keys().position(|node| *node == home).unwrap();
    let name = sim.get(home).unwrap().spec.name.clone();
    sim.set_alive(index, false);
    sim.settle();
    let reason = |job: &Job, state: &JobState| match state {
        JobState::Pending { reason } => reason.clone(),
        other => panic!("{:?} is {other:?}", job.purpose),
    };
    let reasons: Vec<String> = sim.jobs().iter().map(|job| reason(&job.spec, &job.status.state)).collect();
    let expect = |name: &flynn_core::name::NodeName| {
        format!(
            "no node fits: 2 of 3 are without the volume it needs, 1 of 3 is lost; it would be placed if {name} comes back"
        )
    };
    assert_eq!(reasons, vec![expect(&name); 3]);
}

#[test]
fn a_first_deployment_beyond_the_quota_fails_with_that_reason() {
    let mut sim = Sim::new(6, 1, 1);
    let id: QuotaId = sim.id();
    let quota = Quota { instances: Some(0), ..Quota::unlimited(sim.team) };
    sim.commit(Principal::System, [Change::create(id, TeamId::SYSTEM, quota)]);
    let deployment = sim.deploy(Behaviour::Good, Strategy::OneByOne).unwrap();
    sim.settle();
    let DeploymentState::Failed { reason } = sim.get(deployment).unwrap().status.state.clone() else { panic!() };
    let expect = "its first instance would be too much: it is more than the team's quota of instances: 0 allowed, 0 used, \
                  1 more asked for";
    assert_eq!(reason, expect);
    assert_eq!(sim.snapshot().objects.count::<Formation>(), 0);
}

#[test]
fn a_destroyed_app_drains_and_leaves_nothing_behind() {
    for ticks in [0, 2, 6, 30] {
        let mut sim = Sim::new(7, 2, 1);
        sim.scale(&[("web", 3), ("worker", 1)]);
        sim.deploy(Behaviour::Good, Strategy::OneByOne).unwrap();
        sim.settle();
        sim.run_once();
        sim.deploy(Behaviour::Good, Strategy::OneByOne).unwrap();
        sim.build();
        sim.ticks(ticks);
        sim.destroy();
        let nodes = sim.nodes.len();
        sim.tick();
        assert_eq!(sim.snapshot().objects.count::<Route>(), 0, "routes go first");
        sim.settle();
        let objects = sim.snapshot().objects;
        assert_eq!((objects.count::<App>(), objects.count::<Job>(), objects.count::<Release>()), (0, 0, 0));
        // The team, the nodes and the router stay.
        assert_eq!(objects.len(), 1 + nodes + 1, "{objects:?}");
    }
}
