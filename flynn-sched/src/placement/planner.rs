use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use flynn_core::noun::{Liveness, Scheduling};
use flynn_core::rule::fits_into;
use flynn_core::{JobId, NodeId};

use super::cluster::{Choice, Cluster, Slot};
use super::demand::{Demand, Priority, Request};
use super::explain::{Explanation, Remedy};
use super::index::{Index, Measure, label_bonus, rank};
use super::obstacle::{Obstacle, Surroundings, obstacles};
use super::policy::{Asked, Policy, Score};
use super::preempt::{Eviction, Evictions, evict};
use super::site::{Resident, Site};
use super::spreading::{Domains, Layout};
use super::tree::NONE;
use crate::seed::mix;

/// A cluster and a policy, and what makes choosing quick.
///
/// What it answers is a function of the cluster, the policy and how many jobs it placed before; the index behind it
/// changes how long that takes and nothing else.
#[derive(Debug)]
pub struct Planner {
    cluster: Cluster,
    policy: Arc<dyn Policy>,
    index: Index,
    evictions: BTreeMap<Priority, Index>,
    draws: u64,
}

/// Where a group that runs on every node still has to be started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Everywhere {
    /// Nodes that should have an instance and have none.
    pub start: Vec<Choice>,
    /// Nodes that should have one and cannot, and what speaks against it first.
    pub blocked: Vec<(NodeId, Obstacle)>,
}

/// Scores of a policy.
#[derive(Debug, Clone, Copy)]
struct Fitting<'a> {
    policy: &'a dyn Policy,
    draw: u64,
}

impl Measure for Fitting<'_> {
    fn measure(&self, demand: &Demand, site: &Site, gauge: f64) -> Score {
        match fits_into(&site.free, &demand.resources, demand.gpus) {
            Ok(()) => self.policy.score(demand, site, Asked { gauge, draw: self.draw }),
            Err(_) => NONE,
        }
    }

    fn gauge(&self, site: &Site) -> f64 {
        self.policy.gauge(site)
    }

    fn keeps_apart(&self) -> bool {
        self.policy.keeps_apart()
    }
}

impl Planner {
    /// Plans on `cluster` by `policy`.
    pub fn new(cluster: Cluster, policy: Arc<dyn Policy>) -> Self {
        Self { cluster, policy, index: Index::default(), evictions: BTreeMap::new(), draws: 0 }
    }

    /// The cluster as it is.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The best node and GPUs for `request`, without putting it there; nothing if no node will do.
    pub fn choose(&mut self, request: &Request) -> Option<Choice> {
        if !self.policy.lasts() {
            return self.scan(request);
        }
        let draw = self.draw();
        let fitting = Fitting { policy: &*self.policy, draw };
        let slot = self.index.choose(&self.cluster, request, &fitting)?;
        let gauge = self.index.gauge(&self.cluster, slot, &fitting);
        let devices = self.policy.devices(&request.demand, self.cluster.site(slot), Asked { gauge, draw })?;
        Some(Choice { slot, devices })
    }

    /// What [`Planner::choose`] answers, found by looking at every node.
    pub fn scan(&self, request: &Request) -> Option<Choice> {
        let fitting = Fitting { policy: &*self.policy, draw: self.draw() };
        let slot = self.look_at_all(request, &fitting, false)?;
        let site = self.cluster.site(slot);
        let asked = Asked { gauge: fitting.gauge(site), draw: fitting.draw };
        let devices = self.policy.devices(&request.demand, site, asked)?;
        Some(Choice { slot, devices })
    }

    /// Puts `job` on the best node for `request`; nothing if no node will do.
    pub fn place(&mut self, job: JobId, request: &Request) -> Option<Choice> {
        let choice = self.choose(request);
        self.draws += 1;
        let choice = choice?;
        self.put(job, request, choice).then_some(choice)
    }

    /// Puts `job` where `choice` says, if that is possible; says whether it is there.
    pub fn put(&mut self, job: JobId, request: &Request, choice: Choice) -> bool {
        let resident = Resident {
            job,
            group: request.group.clone(),
            resources: request.demand.resources,
            gpus: request.demand.gpus,
            devices: choice.devices,
            priority: request.priority,
        };
        self.cluster.take(choice.slot, resident).is_ok()
    }

    /// Takes a job off its node; nothing if it is not there.
    pub fn release(&mut self, slot: Slot, job: JobId) -> Option<Resident> {
        self.cluster.release(slot, job)
    }

    /// Says whether a node is there and whether it takes work. What is on it stays.
    pub fn set_state(&mut self, slot: Slot, liveness: Liveness, scheduling: Scheduling) {
        self.cluster.set_state(slot, liveness, scheduling);
    }

    /// Why `request` finds no node, or that it finds one.
    pub fn explain(&self, request: &Request) -> Explanation {
        let mut explanation = Explanation::of(&self.cluster, &self.surroundings(request));
        explanation.remedies.retain_mut(|remedy| self.helps(remedy, request));
        explanation.remedies.sort_by_key(|remedy| Reverse(remedy.nodes));
        explanation
    }

    /// Whether a change helps as a whole. A constraint that is dropped lets more values of the label count over which
    /// instances are spread, and one of those may have so few that the others are ahead of it.
    fn helps(&self, remedy: &mut Remedy, request: &Request) -> bool {
        let is_bounded = request.spread.as_ref().is_some_and(|spread| spread.max_skew.is_some());
        if !is_bounded || !matches!(remedy.obstacle, Obstacle::Constraint(_)) {
            return true;
        }
        let Some(changed) = remedy.apply(request) else { return true };
        let Some(choice) = self.scan(&changed) else { return false };
        remedy.name = self.cluster.site(choice.slot).host().name.clone();
        remedy.nodes = Explanation::of(&self.cluster, &self.surroundings(&changed)).open;
        true
    }

    /// The node on which `request` would have to displace the least, and whom; nothing if jobs with lower priorities
    /// do not take enough anywhere. Jobs that are in its way by [`Rule::Apart`](super::Rule::Apart) or by number stay.
    ///
    /// The least: by the highest priority that is displaced, then by the number of jobs, then by what is freed for
    /// nothing. Where nothing has to go, the answer has no victims.
    pub fn preempt(&mut self, request: &Request) -> Option<Eviction> {
        let measure = Evictions { priority: request.priority };
        let index = self.evictions.entry(request.priority).or_default();
        let slot = index.choose(&self.cluster, request, &measure)?;
        evict(&request.demand, request.priority, slot, self.cluster.site(slot))
    }

    /// What [`Planner::preempt`] answers, found by looking at every node.
    pub fn preempt_by_scan(&self, request: &Request) -> Option<Eviction> {
        let slot = self.look_at_all(request, &Evictions { priority: request.priority }, true)?;
        evict(&request.demand, request.priority, slot, self.cluster.site(slot))
    }

    /// For a group of which one instance runs on each open node whose labels suit: where it is missing.
    pub fn everywhere(&self, request: &Request) -> Everywhere {
        let around = self.surroundings(request);
        let mut answer = Everywhere::default();
        for (slot, site) in self.cluster.sites().filter(|(slot, _)| around.own_at(*slot) == 0) {
            let mut meant = true;
            let mut first = None;
            let _ = obstacles(&self.cluster, &around, slot, &mut |obstacle| {
                meant &= !matches!(
                    obstacle,
                    Obstacle::NotReady(_) | Obstacle::Closed(_) | Obstacle::Constraint(_) | Obstacle::VolumeElsewhere
                );
                first.get_or_insert(obstacle);
                if meant { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            let asked = Asked { gauge: self.policy.gauge(site), draw: self.draw() };
            match first {
                None => {
                    let devices = self.policy.devices(&request.demand, site, asked);
                    answer.start.extend(devices.map(|devices| Choice { slot, devices }));
                }
                Some(obstacle) if meant => answer.blocked.push((site.host().id, obstacle)),
                Some(_) => {}
            }
        }
        answer
    }

    fn draw(&self) -> u64 {
        mix(self.draws)
    }

    fn surroundings<'a>(&'a self, request: &'a Request) -> Surroundings<'a> {
        let mut around = Surroundings::of(&self.cluster, request);
        if let Some(spread) = &request.spread {
            let layout = Arc::new(Layout::new(&self.cluster, Some(&spread.label)));
            let suits = label_bonus(&self.cluster, &request.demand);
            let is_live = |slot: &Slot| {
                let site = self.cluster.site(*slot);
                site.is_open() && suits[site.class as usize].is_some()
            };
            let live: Vec<bool> =
                (0..layout.domains()).map(|domain| layout.members(domain).iter().any(is_live)).collect();
            around.domains = Some(Domains::new(layout, around.own, spread.max_skew, |domain| live[domain]));
        }
        around
    }

    fn look_at_all(&self, request: &Request, measure: &dyn Measure, makes_room: bool) -> Option<Slot> {
        let around = self.surroundings(request);
        let bonus = label_bonus(&self.cluster, &request.demand);
        let ranks = self.cluster.sites().filter_map(|(slot, site)| {
            let stops = |obstacle| match obstacle {
                Obstacle::Misfit(_) if makes_room => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            };
            if obstacles(&self.cluster, &around, slot, &mut { stops }).is_break() {
                return None;
            }
            let score = measure.measure(&request.demand, site, measure.gauge(site));
            let standing = around.domains.as_ref().map_or(0, |domains| domains.standing_of(slot));
            let bonus = bonus[site.class as usize].unwrap_or(0);
            let rank = |score| (Reverse(standing), rank(&around, measure.keeps_apart(), slot, score + bonus));
            (score != NONE).then(|| rank(score))
        });
        ranks.max().map(|(_, (.., slot))| slot.0)
    }
}
