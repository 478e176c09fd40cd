//! Deployments step by step, and how they end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::time::Duration;

use flynn_core::noun::{
    DeployIntent, DeployPolicy, DeploymentId, DeploymentState, Exit, Job, JobState, OnFailure, ReleaseId, Share,
    Stored, Strategy,
};
use flynn_core::value::Resources;

use crate::sim::{Behaviour, Sim, seeds};

const ALL: [Strategy; 4] =
    [Strategy::OneByOne, Strategy::AllAtOnce, Strategy::OneDownOneUp, Strategy::InBatches { size: Share::Percent(50) }];
/// Those that start the new before they stop the old.
const UP_FIRST: [Strategy; 3] =
    [Strategy::OneByOne, Strategy::AllAtOnce, Strategy::InBatches { size: Share::Percent(50) }];
const MINUTE: Duration = Duration::from_secs(60);

fn state(sim: &Sim, id: DeploymentId) -> DeploymentState {
    sim.get(id).unwrap().status.state.clone()
}

fn to_of(sim: &Sim, id: DeploymentId) -> ReleaseId {
    sim.get(id).unwrap().spec.to
}

/// An app whose first release serves with these counts.
fn serving(seed: u64, web: u32, worker: u32) -> (Sim, ReleaseId) {
    let mut sim = Sim::new(seed, 3, 2);
    sim.scale(&[("web", web), ("worker", worker)]);
    let id = sim.deploy(Behaviour::Good, Strategy::AllAtOnce).unwrap();
    sim.settle();
    assert_eq!(state(&sim, id), DeploymentState::Done);
    let release = to_of(&sim, id);
    (sim, release)
}

fn numbers(release: ReleaseId, count: u32) -> Vec<(ReleaseId, u32)> {
    (1..=count).map(|number| (release, number)).collect()
}

#[test]
fn the_first_deployment_of_an_app_starts_one_web_and_nothing_else() {
    for strategy in ALL {
        let mut sim = Sim::new(1, 1, 1);
        let id = sim.deploy(Behaviour::Good, strategy).unwrap();
        sim.settle();
        assert_eq!(state(&sim, id), DeploymentState::Done);
        assert_eq!(sim.healthy("web"), numbers(to_of(&sim, id), 1));
        assert_eq!(sim.healthy("worker"), []);
        let formation = sim.formation().unwrap();
        let counts: Vec<(String, u32)> =
            formation.spec.processes.iter().map(|(name, scale)| (name.to_string(), scale.count)).collect();
        assert_eq!(counts, [("web".to_owned(), 1), ("worker".to_owned(), 0)]);
        assert_eq!(formation.spec.processes.values().next().unwrap().resources, flynn_sched::DEFAULT_RESOURCES);
    }
}

#[test]
fn a_release_without_web_deploys_without_starting_anything() {
    for strategy in ALL {
        let mut sim = Sim::new(1, 1, 1);
        let id = sim.deploy_processes(Behaviour::Crash(1), strategy, &["worker"]).unwrap();
        sim.settle();
        assert_eq!(state(&sim, id), DeploymentState::Done);
        assert!(sim.jobs().is_empty());
    }
}

/// One by one, at no time fewer healthy instances are meant to serve than before, and at most one more runs.
#[test]
fn one_by_one_serves_with_the_old_number_throughout() {
    for seed in seeds::seeds(20) {
        let (mut sim, old) = serving(seed, 3, 2);
        sim.races = 4;
        let speed = 1 + seed % 4;
        sim.nodes.values_mut().for_each(|agent| agent.speed = speed);
        // Nodes may be slow here, so the start deadline is the usual one.
        let new = sim.release(Behaviour::Good, &["web", "worker"]);
        let id = sim.deploy_release(new, Strategy::OneByOne, DeployPolicy::default());
        let mut mixtures = Vec::new();
        while !state(&sim, id).is_end() {
            sim.tick();
            for (name, count) in [("web", 3), ("worker", 2)] {
                let healthy = sim.healthy(name);
                assert!(healthy.len() >= count, "seed {seed}: {name} {}", sim.describe());
                let meant = sim.jobs().iter().filter(|job| job.spec.desired == flynn_core::noun::Desired::Up).count();
                assert!(meant <= 6, "seed {seed}: {}", sim.describe());
                if name == "web" {
                    mixtures.push(healthy.iter().filter(|(release, _)| *release == new).count());
                }
            }
        }
        assert!(mixtures.is_sorted(), "seed {seed}: {mixtures:?}");
        assert!((0..=3).all(|count| mixtures.contains(&count)), "seed {seed}: {mixtures:?}");
        sim.settle();
        assert_eq!(sim.healthy("web"), numbers(new, 3));
        assert_eq!(sim.healthy("worker"), numbers(new, 2));
        assert_eq!(sim.serving(), Some(new));
        assert_ne!(old, new);
    }
}

/// What a strategy that replaces in groups keeps to, at every step and with nodes of any speed.
fn check_groups(strategy: &Strategy, policy: &DeployPolicy, most: usize, least: usize, together: usize) {
    for seed in seeds::seeds(10) {
        let (mut sim, old) = serving(seed, 6, 0);
        sim.races = 4;
        let speed = 1 + seed % 4;
        sim.nodes.values_mut().for_each(|agent| agent.speed = speed);
        let new = sim.release(Behaviour::Good, &["web", "worker"]);
        let id = sim.deploy_release(new, strategy.clone(), policy.clone());
        let mut greatest = 0;
        while !state(&sim, id).is_end() {
            sim.tick();
            let meant: Vec<_> =
                sim.jobs().into_iter().filter(|job| job.spec.desired == flynn_core::noun::Desired::Up).collect();
            assert!(meant.len() <= most, "seed {seed}: {}", sim.describe());
            assert!(sim.healthy("web").len() >= least, "seed {seed}: {}", sim.describe());
            let coming = |job: &&std::sync::Arc<Stored<Job>>| {
                job.spec.release == new && !matches!(job.status.state, JobState::Up { .. })
            };
            greatest = greatest.max(meant.iter().filter(coming).count());
        }
        assert_eq!(state(&sim, id), DeploymentState::Done, "seed {seed}");
        assert_eq!(greatest, together, "seed {seed}");
        sim.settle();
        assert_eq!(sim.healthy("web"), numbers(new, 6));
        assert_ne!(old, new);
    }
}

#[test]
fn one_down_one_up_never_runs_more_than_are_wanted() {
    check_groups(&Strategy::OneDownOneUp, &DeployPolicy::default(), 6, 5, 1);
}

#[test]
fn batches_are_started_whole_and_replace_as_many() {
    let usual = DeployPolicy::default();
    check_groups(&Strategy::InBatches { size: Share::Count(2) }, &usual, 8, 6, 2);
    check_groups(&Strategy::InBatches { size: Share::Percent(34) }, &usual, 9, 6, 3);
    let policy =
        DeployPolicy { max_extra: Some(Share::Count(1)), max_missing: Some(Share::Percent(34)), ..usual.clone() };
    check_groups(&Strategy::InBatches { size: Share::Count(3) }, &policy, 7, 4, 3);
    let none_beside = DeployPolicy { max_extra: Some(Share::Count(0)), max_missing: Some(Share::Count(1)), ..usual };
    check_groups(&Strategy::OneByOne, &none_beside, 6, 5, 1);
}

#[test]
fn an_instance_has_to_be_healthy_for_as_long_as_is_asked() {
    let (mut sim, old) = serving(4, 2, 0);
    let new = sim.release(Behaviour::Good, &["web"]);
    let policy = DeployPolicy { healthy_for: Duration::from_secs(20), ..DeployPolicy::default() };
    let id = sim.deploy_release(new, Strategy::OneByOne, policy.clone());
    let is_new = |job: &&std::sync::Arc<Stored<Job>>| job.spec.release == new;
    sim.until(MINUTE, "one is up", |sim| sim.healthy("web").len() == 3);
    let began = sim.now();
    sim.until(MINUTE, "an old one goes", |sim| sim.healthy("web").iter().filter(|(of, _)| *of == old).count() == 1);
    assert!(sim.now().since(began) >= Duration::from_secs(19), "{:?}", sim.now().since(began));
    sim.until(MINUTE, "the second is up", |sim| sim.healthy("web").iter().filter(|(of, _)| *of == new).count() == 2);
    let second = sim.jobs().iter().filter(is_new).max_by_key(|job| job.created_at).unwrap().clone();
    sim.report(second.spec.node.unwrap(), second.id, JobState::Exited(Exit::Code(1)));
    sim.until(MINUTE, "it is up again", |sim| sim.healthy("web").iter().filter(|(of, _)| *of == new).count() == 2);
    let again = sim.now();
    sim.until(MINUTE, "the deployment ends", |sim| state(sim, id).is_end());
    assert_eq!(state(&sim, id), DeploymentState::Done);
    assert!(sim.now().since(again) >= Duration::from_secs(19), "it began to count anew");
}

#[test]
fn all_at_once_shifts_when_every_new_instance_is_healthy() {
    let (mut sim, old) = serving(1, 3, 1);
    let id = sim.deploy(Behaviour::FailFirst(1), Strategy::AllAtOnce).unwrap();
    while !state(&sim, id).is_end() {
        sim.tick();
        let status = sim.get(id).unwrap().status.clone();
        let new = sim.healthy("web").iter().filter(|(release, _)| *release != old).count();
        let olds = sim.healthy("web").len() - new;
        assert_eq!(status.weight, if olds == 0 { 100 } else { 0 }, "{}", sim.describe());
        assert!(olds == 3 || new == 3, "{}", sim.describe());
    }
    assert_eq!(state(&sim, id), DeploymentState::Done);
}

/// What follows when the new release behaves like this: the old one serves and the reason names the cause.
fn check_failure(behaviour: Behaviour, expect: &str) {
    for strategy in ALL {
        let (mut sim, old) = serving(3, 2, 1);
        let id = sim.deploy(behaviour, strategy.clone()).unwrap();
        sim.until(2 * MINUTE, "the deployment ends", |sim| state(sim, id).is_end());
        let DeploymentState::Failed { reason } = state(&sim, id) else {
            panic!("{behaviour:?} was deployed: {}", sim.describe());
        };
        assert_eq!(reason, expect, "{strategy:?}");
        assert_eq!(sim.serving(), Some(old));
        assert_eq!(sim.healthy("web"), numbers(old, 2), "{strategy:?}: the old release serves when it is said to");
        assert_eq!(sim.get(id).unwrap().status.weight, 0);
        sim.settle();
        assert_eq!((sim.healthy("web"), sim.healthy("worker")), (numbers(old, 2), numbers(old, 1)));
        assert_eq!(sim.jobs().len(), 3, "{}", sim.describe());
    }
}

#[test]
fn a_failed_deployment_rolls_back_and_names_its_cause() {
    check_failure(Behaviour::Crash(7), "web.1 exited with code 7 (3 failed starts in a row)");
    check_failure(Behaviour::OutOfMemory, "web.1 ran out of memory (3 failed starts in a row)");
    check_failure(Behaviour::Hang, "web.1 was not healthy within 10 s of its start");
}

#[test]
fn one_failed_start_is_no_failure() {
    for strategy in ALL {
        for times in [1, 2] {
            let (mut sim, _) = serving(4, 2, 0);
            let id = sim.deploy(Behaviour::FailFirst(times), strategy.clone()).unwrap();
            sim.until(MINUTE, "the deployment ends", |sim| state(sim, id).is_end());
            assert_eq!(state(&sim, id), DeploymentState::Done);
        }
    }
}

#[test]
fn a_release_that_finds_no_room_is_rolled_back_with_the_placers_words() {
    for strategy in UP_FIRST {
        let (mut sim, old) = serving(5, 1, 0);
        let home = sim.jobs()[0].spec.node.unwrap();
        for name in ["n1", "n2", "n3"] {
            let room = if sim.node(name) == home { crate::sim::room_for(1) } else { Resources::ZERO };
            sim.set_capacity(name, room);
        }
        let id = sim.deploy(Behaviour::Good, strategy).unwrap();
        sim.until(MINUTE / 2, "the deployment ends", |sim| state(sim, id).is_end());
        let DeploymentState::Failed { reason } = state(&sim, id) else { panic!("{}", sim.describe()) };
        let expect = "web.1 could not be placed within 10 s: no node fits: 3 of 3 are short of memory, 3 of 3 are short of \
                      disk, 3 of 3 are short of pids; nearest is n";
        assert!(reason.starts_with(expect), "{reason}");
        assert!(reason.ends_with("which lacks 512 MiB of memory and 1 GiB of disk and 512 of pids"), "{reason}");
        assert_eq!(sim.healthy("web"), numbers(old, 1));
    }
}

/// What waits for room under a size that nobody wants any more gets the size that is wanted.
#[test]
fn a_waiting_instance_follows_a_change_of_its_size() {
    for is_deploying in [false, true] {
        let (mut sim, _) = serving(5, 1, 0);
        for name in ["n1", "n2", "n3"] {
            sim.set_capacity(name, crate::sim::room_for(2));
        }
        sim.resize("web", crate::sim::room_for(9), 3);
        if is_deploying {
            let release = sim.release(Behaviour::Good, &["web", "worker"]);
            sim.deploy_release(release, Strategy::OneByOne, DeployPolicy::default());
        }
        sim.ticks(20);
        let waiting = |sim: &Sim| -> Vec<_> {
            let jobs = sim.jobs().into_iter();
            jobs.filter(|job| job.spec.node.is_none()).map(|job| (job.id, job.spec.purpose.clone())).collect()
        };
        let before = waiting(&sim);
        assert!(!before.is_empty(), "{}", sim.describe());
        sim.resize("web", flynn_sched::DEFAULT_RESOURCES, 3);
        sim.tick();
        let kept = |job: &Stored<Job>| before.iter().any(|(_, purpose)| *purpose == job.spec.purpose);
        let jobs = sim.jobs();
        let after: Vec<_> = jobs.iter().filter(|job| kept(job)).collect();
        assert_eq!(after.len(), before.len(), "each keeps its place: {}", sim.describe());
        assert!(after.iter().all(|job| before.iter().all(|(id, _)| job.id != *id) && job.spec.node.is_some()));
        sim.settle();
        assert_eq!((sim.healthy("web").len(), waiting(&sim).len()), (3, 0), "{}", sim.describe());
        assert!(sim.jobs().iter().all(|job| job.spec.resources == flynn_sched::DEFAULT_RESOURCES));
    }
}

/// A size that is changed while a restart is put off puts it off neither longer nor shorter.
#[test]
fn a_changed_size_keeps_the_wait_for_a_restart() {
    let (mut sim, _) = serving(6, 1, 0);
    let wait = |sim: &Sim| {
        let job = sim.jobs().remove(0);
        (job.spec.attempt, job.spec.not_before, job.status.clone())
    };
    for _ in 0..2 {
        sim.until(MINUTE, "it is up", |sim| sim.healthy("web").len() == 1);
        sim.crash(0, Exit::Code(1));
        sim.tick();
    }
    let before = wait(&sim);
    assert!(before.1 > sim.now(), "{}", sim.describe());
    sim.resize("web", crate::sim::room_for(2), 1);
    sim.tick();
    assert_eq!(wait(&sim), before);
    assert_eq!(sim.jobs()[0].spec.resources, crate::sim::room_for(2));
}

/// Instances that come up and crash in turns do not put the deadline off.
#[test]
fn a_crash_loop_does_not_move_the_progress_deadline() {
    let (mut sim, old) = serving(6, 2, 0);
    sim.policy.failed_starts = u32::MAX;
    let id = sim.deploy(Behaviour::Good, Strategy::AllAtOnce).unwrap();
    let new = to_of(&sim, id);
    let (began, mut turn) = (sim.now(), 0);
    while !state(&sim, id).is_end() {
        sim.clock.advance(crate::sim::TICK);
        sim.act();
        let is_up = |job: &Stored<Job>| job.spec.release == new && matches!(job.status.state, JobState::Up { .. });
        let up: Vec<_> = sim.jobs().into_iter().filter(|job| is_up(job)).collect();
        if up.len() == 2 {
            sim.report(up[turn % 2].spec.node.unwrap(), up[turn % 2].id, JobState::Exited(Exit::Code(1)));
            turn += 1;
        }
        sim.control();
        assert!(sim.now().since(began) < 3 * MINUTE, "{}", sim.describe());
    }
    assert!(matches!(state(&sim, id), DeploymentState::Failed { .. }), "{}", sim.describe());
    assert!(turn > 2, "it does not crash in turns");
    assert_eq!(sim.healthy("web"), numbers(old, 2));
}

#[test]
fn a_paused_deployment_holds_but_replaces_what_is_lost() {
    let (mut sim, _) = serving(7, 3, 0);
    let id = sim.deploy(Behaviour::Good, Strategy::OneByOne).unwrap();
    sim.until(MINUTE, "one is replaced", |sim| sim.get(id).unwrap().status.step == 1);
    sim.intend(DeployIntent::Pause);
    sim.ticks(40);
    let before = sim.healthy("web");
    let mixture = |healthy: &[(ReleaseId, u32)]| healthy.iter().map(|(release, _)| *release).collect::<Vec<_>>();
    // Three, and the one that was on its way.
    assert_eq!(before.len(), 4, "{}", sim.describe());
    sim.set_alive(0, false);
    sim.ticks(80);
    assert_eq!(mixture(&sim.healthy("web")), mixture(&before), "{}", sim.describe());
    assert!(matches!(state(&sim, id), DeploymentState::Paused { .. }));
    sim.ticks(400);
    assert!(matches!(state(&sim, id), DeploymentState::Paused { .. }), "its deadline runs while it is paused");
    sim.intend(DeployIntent::Proceed);
    sim.settle();
    assert_eq!(state(&sim, id), DeploymentState::Done);
    assert_eq!(mixture(&sim.healthy("web")), [to_of(&sim, id); 3]);
}

#[test]
fn an_aborted_deployment_goes_back_without_losing_capacity() {
    for strategy in UP_FIRST {
        for ticks in [0, 1, 2, 5, 9, 14] {
            let (mut sim, old) = serving(8, 3, 0);
            let id = sim.deploy(Behaviour::Good, strategy.clone()).unwrap();
            sim.ticks(ticks);
            sim.intend(DeployIntent::Abort);
            while !state(&sim, id).is_end() {
                sim.tick();
                assert!(sim.healthy("web").len() >= 3, "{}", sim.describe());
            }
            sim.settle();
            match state(&sim, id) {
                DeploymentState::Done => assert_eq!(sim.serving(), Some(to_of(&sim, id))),
                _ => {
                    assert_eq!(state(&sim, id), DeploymentState::Failed { reason: "it was aborted".into() });
                    let healthy: Vec<_> = sim.healthy("web").iter().map(|(release, _)| *release).collect();
                    assert_eq!(healthy, [old; 3]);
                }
            }
        }
    }
}

#[test]
fn on_failure_decides_whether_a_failed_deployment_goes_back_waits_or_stays() {
    let policy = |on_failure| DeployPolicy { on_failure, ..DeployPolicy::default() };
    let (mut sim, old) = serving(9, 1, 0);
    let bad = sim.release(Behaviour::Crash(2), &["web"]);
    let id = sim.deploy_release(bad, Strategy::AllAtOnce, policy(OnFailure::Pause));
    sim.until(MINUTE, "it pauses", |sim| matches!(state(sim, id), DeploymentState::Paused { .. }));
    let DeploymentState::Paused { reason } = state(&sim, id) else { unreachable!() };
    assert!(reason.contains("code 2"), "{reason}");
    assert_eq!(sim.healthy("web"), numbers(old, 1));
    sim.behaviours.insert(bad, Behaviour::Good);
    sim.ticks(2);
    assert_eq!(sim.get(id).unwrap().spec.desired, DeployIntent::Pause);
    sim.intend(DeployIntent::Pause);
    sim.ticks(2);
    assert_eq!(state(&sim, id), DeploymentState::Paused { reason }, "why it waits is not forgotten");
    sim.intend(DeployIntent::Proceed);
    sim.settle();
    assert_eq!(state(&sim, id), DeploymentState::Done);

    let worse = sim.release(Behaviour::Hang, &["web"]);
    let id = sim.deploy_release(worse, Strategy::AllAtOnce, policy(OnFailure::Keep));
    sim.until(3 * MINUTE, "it ends", |sim| state(sim, id).is_end());
    sim.ticks(100);
    assert!(matches!(state(&sim, id), DeploymentState::Failed { .. }));
    assert_eq!(sim.jobs().iter().filter(|job| job.spec.release == worse).count(), 1, "{}", sim.describe());
    assert_eq!(sim.healthy("web"), numbers(bad, 1));
    sim.deploy(Behaviour::Good, Strategy::OneByOne).unwrap();
    sim.settle();
    assert_eq!(sim.jobs().iter().filter(|job| job.spec.release == worse).count(), 0, "{}", sim.describe());
}

#[test]
fn process_types_that_vanish_are_stopped_and_only_at_the_end() {
    for strategy in ALL {
        let (mut sim, old) = serving(10, 2, 2);
        let id = sim.deploy_processes(Behaviour::Good, strategy, &["web"]).unwrap();
        let new = to_of(&sim, id);
        while !state(&sim, id).is_end() {
            sim.tick();
            let up = sim.healthy("web").iter().filter(|(release, _)| *release == new).count();
            assert!(up == 2 || sim.healthy("worker") == numbers(old, 2), "{}", sim.describe());
        }
        sim.settle();
        assert_eq!(sim.healthy("web"), numbers(new, 2));
        assert!(sim.jobs().len() == 2, "{}", sim.describe());
    }
}

#[test]
fn a_deployment_of_a_driver_outside_is_left_alone() {
    let (mut sim, old) = serving(11, 2, 0);
    let other = Strategy::External { driver: "mine".into() };
    let id = sim.deploy(Behaviour::Good, other).unwrap();
    let before = sim.snapshot().revision;
    sim.ticks(50);
    assert_eq!(sim.snapshot().revision, before);
    sim.crash(0, Exit::Code(1));
    sim.settle();
    assert_eq!((sim.healthy("web"), state(&sim, id)), (numbers(old, 2), DeploymentState::Pending));
}

/// A controller that starts anew before every pass brings about the same end.
#[test]
fn a_deployment_survives_another_controller_at_every_step() {
    for behaviour in [Behaviour::Good, Behaviour::Crash(4), Behaviour::FailFirst(2), Behaviour::Hang] {
        for strategy in ALL {
            let end = |restarts: bool| {
                let (mut sim, _) = serving(12, 3, 1);
                sim.restarts = restarts;
                let id = sim.deploy(behaviour, strategy.clone()).unwrap();
                sim.until(3 * MINUTE, "the deployment ends", |sim| state(sim, id).is_end());
                sim.settle();
                (state(&sim, id), sim.serving(), sim.healthy("web"), sim.healthy("worker"))
            };
            assert_eq!(end(false), end(true), "{behaviour:?} {strategy:?}");
        }
    }
}
