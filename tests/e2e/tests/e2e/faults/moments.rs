//! Deaths at moments that nobody chose.

use std::time::{Duration, Instant};

use super::world::World;
use super::{Operation, PROGRAMS, seeds};

/// SplitMix64.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// How many moments there are for one operation.
fn moments(usual: u64) -> u64 {
    // A moment takes seconds, so that a long run takes a fortieth of what it is told.
    seeds().map_or(usual, |seeds| (seeds / 40).max(usual))
}

/// Kills one of the programs in the middle of `operation`, again and again.
pub(super) fn killed_at_moments(world: &mut World, operation: Operation, usual: u64) {
    let began = Instant::now();
    let undisturbed = world.begin(operation);
    assert!(world.end(undisturbed), "{operation:?}: {}", world.said());
    world.converge();
    let mut usually = began.elapsed();
    for seed in 0..moments(usual) {
        let mut state = seed ^ ((operation as u64) << 32);
        let program = PROGRAMS[(draw(&mut state) % 3) as usize];
        let share = u32::try_from(draw(&mut state) % 1_000).unwrap();
        loop {
            let mut under_way = world.begin(operation);
            std::thread::sleep(usually * share / 1_000);
            let is_in_its_middle = under_way.try_wait().unwrap().is_none() || world.look().is_err();
            if is_in_its_middle {
                eprintln!("{operation:?}, seed {seed}: {program} is killed after {share} thousandths of {usually:?}");
                world.kill(program);
            }
            world.end(under_way);
            if is_in_its_middle {
                break;
            }
            // It was faster than usual: its middle is earlier.
            usually = usually * 3 / 4;
            assert!(usually > Duration::from_millis(1), "seed {seed}: {operation:?} has no middle");
        }
        world.converge();
    }
}
