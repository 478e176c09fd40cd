//! What replacing in groups keeps to, whatever becomes of the instances.
#![allow(clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use std::collections::BTreeMap;

use flynn_core::name::ProcessName;
use flynn_core::noun::{DeployPolicy, Exit, Share};
use flynn_core::{Ids, JobId, Timestamp};
use flynn_sched::deploy::{Condition, DeployStrategy, Instance, Pair, Rolling, Rollout, Side, Step};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What can happen to an instance of the release that is to serve, or of the one before.
#[derive(Debug, Clone)]
enum Happening {
    Up(Index),
    Sick(Index),
    Gone(Index),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        6 => any::<Index>().prop_map(Happening::Up),
        1 => any::<Index>().prop_map(Happening::Sick),
        1 => any::<Index>().prop_map(Happening::Gone),
    ];
    vec(happening, 0..60)
}

fn rolling() -> impl Strategy<Value = Rolling> {
    let share = || prop_oneof![(1u32..5).prop_map(Share::Count), (1u8..=100).prop_map(Share::Percent)];
    prop_oneof![
        Just(Rolling::ONE_BY_ONE),
        Just(Rolling::ONE_DOWN_ONE_UP),
        share().prop_map(Rolling::in_batches),
        (share(), share(), share()).prop_map(|(group, extra, missing)| Rolling { group, extra, missing }),
        (share(), share()).prop_map(|(group, missing)| Rolling { group, extra: Share::Count(0), missing }),
    ]
}

struct World {
    ids: Ids,
    rollout: Rollout,
}

impl World {
    fn new(wanted: u32, old: u32) -> Self {
        let mut ids = Ids::seeded(1);
        let old = (1..=old).map(|number| instance(&mut ids, number, Condition::Healthy)).collect();
        let rollout = Rollout {
            processes: BTreeMap::from([(web(), Pair { wanted, new: Vec::new(), old })]),
            policy: DeployPolicy::default(),
            weight: 0,
            progressed_at: Timestamp::EPOCH,
            failed_starts: u32::MAX,
        };
        Self { ids, rollout }
    }

    fn pair(&mut self) -> &mut Pair {
        self.rollout.processes.get_mut(&web()).expect("it is there")
    }

    /// Takes steps until there is none to take; says whether the release serves.
    fn advance(&mut self, strategy: &Rolling, floor: u32, ceiling: u32) -> bool {
        for _ in 0..1_000 {
            match strategy.step(&self.rollout, Timestamp::EPOCH) {
                Step::Start { count, .. } => {
                    for _ in 0..count {
                        let number = self.pair().count(Side::New) + 1;
                        let started = instance(&mut self.ids, number, Condition::Starting(Timestamp::EPOCH));
                        self.pair().new.push(started);
                    }
                    let total = self.pair().count(Side::New) + self.pair().count(Side::Old);
                    assert!(total <= ceiling, "{total} of at most {ceiling}");
                }
                Step::Stop { side, count, .. } => {
                    let before = serving(self.pair());
                    let instances = if side == Side::New { &mut self.pair().new } else { &mut self.pair().old };
                    assert!(count > 0 && count as usize <= instances.len());
                    instances.sort_by_key(|instance| instance.condition == Condition::Healthy);
                    instances.drain(..count as usize);
                    let after = serving(self.pair());
                    assert!(after == before || after >= floor, "{after} of at least {floor} serve");
                }
                Step::Shift(weight) => {
                    assert!(weight > self.rollout.weight);
                    self.rollout.weight = weight;
                }
                Step::WaitUntil(_) => return false,
                Step::Done => return true,
                step => panic!("{step:?}"),
            }
        }
        panic!("it does not come to rest: {:?}", self.rollout);
    }

    fn happen(&mut self, happening: &Happening) {
        let pair = self.pair();
        let mut all: Vec<&mut Instance> = pair.new.iter_mut().chain(&mut pair.old).collect();
        if all.is_empty() {
            return;
        }
        let (index, condition) = match happening {
            Happening::Up(index) => (index, Condition::Healthy),
            Happening::Sick(index) => (index, Condition::Unhealthy),
            Happening::Gone(index) => (index, Condition::Ended(Exit::Code(1))),
        };
        let at = index.index(all.len());
        all[at].condition = condition;
    }
}

fn web() -> ProcessName {
    ProcessName::new("web").expect("a name")
}

fn instance(ids: &mut Ids, number: u32, condition: Condition) -> Instance {
    let job: JobId = ids.next(Timestamp::EPOCH);
    Instance { job, number, attempt: 0, since: Timestamp::EPOCH, condition }
}

fn serving(pair: &Pair) -> u32 {
    pair.healthy(Side::New) + pair.healthy(Side::Old)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn groups_stay_within_their_bounds_and_come_to_an_end(
        strategy in rolling(), wanted in 0u32..12, old in select(vec![0u32, 1, 3, 6, 12, 15]), happenings in happenings(),
    ) {
        let missing = strategy.missing.rounded_down(wanted).max(u32::from(strategy.extra.rounded_up(wanted) == 0));
        let floor = wanted.saturating_sub(missing);
        let ceiling = (wanted + strategy.extra.rounded_up(wanted)).max(old).max(wanted);
        let mut world = World::new(wanted, old);
        for happening in &happenings {
            world.advance(&strategy, floor, ceiling);
            world.happen(happening);
        }
        for _ in 0..100 {
            let pair = world.pair();
            pair.new.iter_mut().chain(&mut pair.old).for_each(|instance| instance.condition = Condition::Healthy);
            if world.advance(&strategy, floor, ceiling) {
                break;
            }
        }
        prop_assert!(world.advance(&strategy, floor, ceiling), "{:?}", world.rollout);
        let pair = world.pair();
        prop_assert_eq!((pair.healthy(Side::New), pair.count(Side::New), pair.count(Side::Old)), (wanted, wanted, 0));
        prop_assert_eq!(world.rollout.weight, 100);
    }
}
