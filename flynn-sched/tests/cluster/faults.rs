//! Crashes, lost nodes and full clusters.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::time::Duration;

use flynn_core::noun::{Exit, JobState, Liveness, Node, Purpose, Strategy};
use flynn_core::value::Resources;

use crate::sim::{Behaviour, Sim, TICK, room_for};

fn serving(nodes: usize, web: u32) -> Sim {
    let mut sim = Sim::new(2, nodes, 1);
    sim.scale(&[("web", web)]);
    sim.deploy(Behaviour::Good, Strategy::AllAtOnce).unwrap();
    sim.settle();
    sim
}

fn liveness(sim: &Sim, index: usize) -> Liveness {
    sim.get::<Node>(*sim.nodes.keys().nth(index).unwrap()).unwrap().status.liveness
}

#[test]
fn a_node_is_suspect_when_its_lease_ends_and_lost_ten_seconds_after_its_last_beat() {
    let mut sim = serving(3, 3);
    sim.set_alive(1, false);
    let silent_since = sim.now();
    let mut seen = Vec::new();
    for _ in 0..30 {
        sim.tick();
        seen.push((sim.now().since(silent_since), liveness(&sim, 1)));
    }
    let first = |wanted| seen.iter().find(|(_, liveness)| *liveness == wanted).unwrap().0;
    assert_eq!(first(Liveness::Suspect), Duration::from_secs(3));
    assert_eq!(first(Liveness::Lost), Duration::from_secs(10));
    sim.settle();
    assert_eq!(sim.healthy("web").len(), 3);
    assert!(sim.jobs().iter().all(|job| job.spec.attempt == 0), "the end of a node counts as a failed start");
    sim.set_alive(1, true);
    sim.ticks(2);
    assert_eq!(liveness(&sim, 1), Liveness::Ready);
}

#[test]
fn what_a_short_silence_would_have_lost_is_kept() {
    let mut sim = serving(3, 3);
    let before: Vec<_> = sim.jobs().iter().map(|job| job.id).collect();
    sim.set_alive(1, false);
    sim.ticks(16);
    assert_eq!(liveness(&sim, 1), Liveness::Suspect);
    sim.set_alive(1, true);
    sim.settle();
    assert_eq!(before, sim.jobs().iter().map(|job| job.id).collect::<Vec<_>>());
}

#[test]
fn a_fresh_controller_does_not_take_silence_from_before_its_time_for_loss() {
    let mut sim = serving(3, 3);
    sim.set_alive(1, false);
    sim.ticks(14);
    assert_eq!(liveness(&sim, 1), Liveness::Suspect);
    sim.restart();
    sim.ticks(19);
    assert_eq!(liveness(&sim, 1), Liveness::Suspect);
    sim.tick();
    assert_eq!(liveness(&sim, 1), Liveness::Lost);
}

#[test]
fn a_crashed_instance_is_restarted_at_once_and_then_ever_later() {
    let mut sim = serving(1, 1);
    let release = sim.serving().unwrap();
    sim.behaviours.insert(release, Behaviour::Crash(1));
    sim.crash(0, Exit::Code(1));
    let mut waits = Vec::new();
    let mut last = None;
    while waits.len() < 12 {
        let job = sim.jobs().pop().unwrap();
        if last != Some(job.id) {
            last = Some(job.id);
            waits.push((job.spec.attempt, job.spec.not_before.since(job.created_at)));
            assert!(matches!(job.spec.purpose, Purpose::Service { instance: 1, .. }));
        }
        sim.tick();
    }
    let attempts: Vec<u32> = waits.iter().map(|(attempt, _)| *attempt).collect();
    assert_eq!(attempts[1..], (1..12).collect::<Vec<_>>());
    assert_eq!(waits[1].1, Duration::ZERO);
    for (attempt, wait) in &waits[2..] {
        let most = Duration::from_secs(300.min(1 << (attempt - 2)));
        assert!(*wait <= most && *wait >= most * 3 / 4, "attempt {attempt}: {wait:?}");
    }
    sim.behaviours.insert(release, Behaviour::Good);
    sim.until(Duration::from_secs(301), "it comes up", |sim| sim.healthy("web").len() == 1);
    sim.ticks(600);
    sim.crash(0, Exit::Signal(9));
    sim.tick();
    let job = sim.jobs().pop().unwrap();
    assert_eq!((job.spec.attempt, job.spec.not_before), (1, job.created_at), "five good minutes start a new count");
}

#[test]
fn a_job_that_finds_no_room_says_why_and_says_it_once() {
    let mut sim = serving(3, 1);
    for (name, missing) in [("n1", 128), ("n2", 256), ("n3", 384)] {
        let room = Resources { memory_bytes: room_for(8).memory_bytes - (missing << 20), ..room_for(8) };
        sim.set_capacity(name, room);
    }
    sim.scale(&[("web", 25)]);
    sim.settle();
    let waiting: Vec<String> = sim
        .jobs()
        .iter()
        .filter_map(|job| match &job.status.state {
            JobState::Pending { reason } => Some(reason.clone()),
            _ => None,
        })
        .collect();
    let expect = "no node has 512 MiB of memory left: 3 of 3 nodes are too small, n1 lacks 128 MiB; it would be \
                  placed if it asks for at most 384 MiB of memory (n1)";
    assert_eq!(waiting, [expect; 4]);
    let before = sim.snapshot().revision;
    sim.ticks(20);
    assert_eq!(sim.snapshot().revision, before);
    sim.set_capacity("n1", room_for(12));
    sim.settle();
    assert_eq!(sim.healthy("web").len(), 25, "{}", sim.describe());
}

#[test]
fn instances_are_spread_over_the_nodes() {
    let sim = serving(3, 7);
    let mut counts: Vec<usize> =
        sim.nodes.keys().map(|node| sim.jobs().iter().filter(|job| job.spec.node == Some(*node)).count()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 3]);
}

#[test]
fn a_thousand_lost_instances_are_replaced_in_batches_of_lawful_size() {
    let mut sim = Sim::new(3, 3, 1);
    for name in ["n1", "n2", "n3"] {
        sim.set_capacity(name, room_for(1_500));
    }
    sim.scale(&[("web", 1_300)]);
    sim.deploy(Behaviour::Good, Strategy::AllAtOnce).unwrap();
    sim.ticks(8);
    assert_eq!(sim.healthy("web").len(), 1_300);
    sim.set_alive(0, false);
    sim.ticks(u32::try_from(Duration::from_secs(14).as_millis() / TICK.as_millis()).unwrap());
    assert_eq!(sim.healthy("web").len(), 1_300);
}
