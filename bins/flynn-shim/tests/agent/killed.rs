//! Agents that die at any moment, and those that come after them.

use std::time::Duration;

use flynn_core::noun::{Desired, Exit};
use flynn_core::port::LogSelection;

use crate::ground::{Ground, Running};

/// SplitMix64.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn seeds() -> u64 {
    let seeds = std::env::var("FLYNN_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    // A seed takes seconds, so that a long run takes a tenth of what it is told.
    seeds.map_or(2, |seeds: u64| (seeds / 100).max(2))
}

/// Jobs that end by themselves and jobs that are told to, under agents that are dropped wherever they are.
async fn agents_die(contained: bool) {
    for seed in 0..seeds() {
        let mut state = seed;
        let ground = Ground::new(contained).await;
        let start = || if contained { ground.start_contained() } else { ground.start_plain() };
        let first = start();
        ground.cluster.known().await;
        let mut agent: Option<Running> = Some(first);
        let mut jobs = Vec::new();
        for number in 0..6 {
            let script = match number % 2 {
                0 => format!("i=0; while [ $i -lt 10 ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit {number}"),
                _ => format!("trap 'exit {number}' TERM; echo up; while true; do sleep 0.05; done"),
            };
            jobs.push((number, ground.service(&script).await));
        }
        let mut told = false;
        for round in 0..12 {
            tokio::time::sleep(Duration::from_millis(draw(&mut state) % (40 + 20 * round))).await;
            if let Some(agent) = agent.take() {
                agent.kill().await;
            }
            agent = Some(start());
            if round == 8 {
                for (_, job) in jobs.iter().filter(|(number, _)| number % 2 == 1) {
                    // Whether it is told before or after it listens makes no difference to what is asserted below.
                    ground.cluster.tell(*job, Desired::Down).await;
                }
                told = true;
            }
        }
        assert!(told);
        let agent = agent.unwrap();
        for (number, job) in jobs {
            let exit = ground.cluster.exit(job).await;
            if number % 2 == 0 {
                assert_eq!(exit, Exit::Code(number), "seed {seed}");
                ground.cleared(job).await;
                let lines = agent.lines(ground.cluster.app, LogSelection::Job(job)).await;
                let lines: Vec<_> = lines.iter().map(|line| line.text.clone()).collect();
                let expected: Vec<_> = (1..=10).map(|line| line.to_string()).collect();
                assert_eq!(lines, expected, "seed {seed}: each line is there once");
            } else {
                let ended = matches!(exit, Exit::Code(_) | Exit::Signal(15) | Exit::NotStarted { .. });
                assert!(ended, "seed {seed}: {exit:?}");
            }
        }
        ground.finish(agent).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_container_is_lost_with_its_agent() {
    agents_die(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_is_lost_with_its_agent() {
    agents_die(false).await;
}
