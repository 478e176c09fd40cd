use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flynn_core::name::LabelKey;

use super::cluster::{Cluster, Slot};
use super::demand::{Demand, Request, Rule};
use super::obstacle::Surroundings;
use super::policy::{POINT, Score};
use super::site::Site;
use super::spreading::{Domains, Layout};
use super::tree::{NONE, Tree};

/// What an index orders nodes by, a function of the demand and the node alone.
pub(super) trait Measure {
    /// The score of an open node whose labels suit, or [`NONE`] if it will not do.
    fn measure(&self, demand: &Demand, site: &Site, gauge: f64) -> Score;

    /// A number about the node by itself that `measure` needs.
    fn gauge(&self, site: &Site) -> f64;

    /// Whether the fewest instances of the same group come before any score.
    fn keeps_apart(&self) -> bool;
}

/// At most this many demands have an order of nodes; the one that was not used for longest goes.
const MOST_SHAPES: usize = 512;

/// For each demand the nodes in their order, kept up with the cluster's log of changes.
///
/// It is a cache that is never told anything: it remembers up to which change it has looked, and looks at what changed
/// since. What it answers is what a look at every node would.
#[derive(Debug, Default)]
pub(super) struct Index {
    shapes: HashMap<Demand, Vec<Shape>>,
    layouts: BTreeMap<Option<LabelKey>, Arc<Layout>>,
    /// For each slot the change after which it was measured, and its gauge.
    gauges: Vec<(u64, f64)>,
    uses: u64,
}

/// The order of nodes for one demand, apart for each value of a label.
#[derive(Debug)]
struct Shape {
    label: Option<LabelKey>,
    layout: Arc<Layout>,
    trees: Vec<Tree>,
    /// For each class of nodes what the preferences are worth; nothing if its labels do not suit.
    classes: Vec<Option<Score>>,
    /// Which nodes are open and have labels that suit, and how many of them each domain has.
    live: Vec<bool>,
    live_in: Vec<u32>,
    version: Option<u64>,
    used: u64,
}

/// By what nodes are compared in the end, the greatest first.
pub(super) type Rank = (Reverse<u32>, Score, Reverse<Slot>);

impl Index {
    /// The best node for `request`; nothing if there is none.
    pub(super) fn choose(&mut self, cluster: &Cluster, request: &Request, measure: &dyn Measure) -> Option<Slot> {
        let label = request.spread.as_ref().map(|spread| &spread.label);
        let shape = self.shape(cluster, &request.demand, label, measure);
        let mut around = Surroundings::of(cluster, request);
        let Some(spread) = &request.spread else {
            return shape.best_in(cluster, &around, 0, measure).map(|(.., slot)| slot.0);
        };
        let is_live = |domain: usize| shape.live_in[domain] > 0;
        let domains = Domains::new(shape.layout.clone(), around.own, spread.max_skew, is_live);
        let mut order: Vec<usize> = (0..shape.layout.domains()).filter(|at| domains.closed(*at).is_none()).collect();
        order.sort_by_key(|domain| domains.standing(*domain));
        let standings: Vec<u32> = order.iter().map(|domain| domains.standing(*domain)).collect();
        around.domains = Some(domains);
        let mut next = 0;
        while let Some(standing) = standings.get(next) {
            let end = next + standings[next..].iter().take_while(|other| *other == standing).count();
            let alike = order[next..end].iter();
            let best = alike.filter_map(|domain| shape.best_in(cluster, &around, *domain, measure)).max();
            if let Some((.., slot)) = best {
                return Some(slot.0);
            }
            next = end;
        }
        None
    }

    /// What [`Measure::gauge`] says of a node.
    pub(super) fn gauge(&mut self, cluster: &Cluster, slot: Slot, measure: &dyn Measure) -> f64 {
        gauge(&mut self.gauges, cluster, slot, measure)
    }

    fn shape(
        &mut self,
        cluster: &Cluster,
        demand: &Demand,
        label: Option<&LabelKey>,
        measure: &dyn Measure,
    ) -> &mut Shape {
        self.uses += 1;
        let known = self.shapes.get(demand).and_then(|shapes| shapes.iter().position(|it| it.label.as_ref() == label));
        let position = known.unwrap_or_else(|| {
            self.forget_the_coldest();
            let label = label.cloned();
            let layout = self.layouts.entry(label.clone());
            let layout = layout.or_insert_with_key(|label| Arc::new(Layout::new(cluster, label.as_ref()))).clone();
            let shapes = self.shapes.entry(demand.clone()).or_default();
            shapes.push(Shape::new(cluster, demand, label, layout));
            shapes.len() - 1
        });
        let shape = match self.shapes.get_mut(demand) {
            Some(shapes) => &mut shapes[position],
            None => unreachable!("it was there or put there"),
        };
        shape.used = self.uses;
        shape.catch_up(cluster, demand, measure, &mut self.gauges);
        shape
    }

    fn forget_the_coldest(&mut self) {
        let all = self.shapes.iter().flat_map(|(demand, shapes)| shapes.iter().map(move |shape| (shape.used, demand)));
        if self.shapes.values().map(Vec::len).sum::<usize>() < MOST_SHAPES {
            return;
        }
        let Some((used, demand)) = all.min_by_key(|(used, _)| *used).map(|(used, demand)| (used, demand.clone()))
        else {
            return;
        };
        if let Some(shapes) = self.shapes.get_mut(&demand) {
            shapes.retain(|shape| shape.used != used);
            if shapes.is_empty() {
                self.shapes.remove(&demand);
            }
        }
    }
}

fn gauge(gauges: &mut Vec<(u64, f64)>, cluster: &Cluster, slot: Slot, measure: &dyn Measure) -> f64 {
    gauges.resize(cluster.sites().len(), (u64::MAX, 0.0));
    let site = cluster.site(slot);
    let kept = &mut gauges[slot.index()];
    if kept.0 != site.changed {
        *kept = (site.changed, measure.gauge(site));
    }
    kept.1
}

/// For each class of nodes what its labels are worth to a demand; nothing if they do not suit.
pub(super) fn label_bonus(cluster: &Cluster, demand: &Demand) -> Vec<Option<Score>> {
    let worth = cluster.classes().iter().map(|labels| {
        let suits = demand.constraints.iter().all(|constraint| constraint.holds(labels));
        suits.then(|| {
            let wishes = demand.preferences.iter().filter(|preference| preference.constraint.holds(labels));
            wishes.map(|preference| Score::from(preference.weight) * POINT).sum()
        })
    });
    worth.collect()
}

impl Shape {
    fn new(cluster: &Cluster, demand: &Demand, label: Option<LabelKey>, layout: Arc<Layout>) -> Self {
        let trees = (0..layout.domains()).map(|domain| Tree::new(layout.members(domain).len())).collect();
        let live = vec![false; cluster.sites().len()];
        let live_in = vec![0; layout.domains()];
        let classes = label_bonus(cluster, demand);
        Self { label, layout, trees, classes, live, live_in, version: None, used: 0 }
    }

    fn catch_up(&mut self, cluster: &Cluster, demand: &Demand, measure: &dyn Measure, gauges: &mut Vec<(u64, f64)>) {
        let mut look = |shape: &mut Self, slot: Slot| {
            let site = cluster.site(slot);
            let (domain, position) = shape.layout.place(slot);
            let bonus = shape.classes[site.class as usize].filter(|_| site.is_open());
            let was_live = std::mem::replace(&mut shape.live[slot.index()], bonus.is_some());
            shape.live_in[domain] += u32::from(bonus.is_some());
            shape.live_in[domain] -= u32::from(was_live);
            let score = bonus.map_or(NONE, |bonus| {
                match measure.measure(demand, site, gauge(gauges, cluster, slot, measure)) {
                    NONE => NONE,
                    score => score + bonus,
                }
            });
            shape.trees[domain].set(position, score);
        };
        match self.version.and_then(|version| cluster.changed_since(version)) {
            Some(changed) => changed.for_each(|slot| look(self, slot)),
            None => cluster.sites().for_each(|(slot, _)| look(self, slot)),
        }
        self.version = Some(cluster.version());
    }

    /// The best node of a domain.
    fn best_in(
        &self,
        cluster: &Cluster,
        around: &Surroundings<'_>,
        domain: usize,
        measure: &dyn Measure,
    ) -> Option<Rank> {
        let (tree, members) = (self.trees.get(domain)?, self.layout.members(domain));
        let keeps_apart = measure.keeps_apart();
        let rank = |slot: Slot| {
            let (of, position) = self.layout.place(slot);
            let score = if of == domain { tree.get(position) } else { NONE };
            (score != NONE && around.is_free(slot)).then(|| rank(around, keeps_apart, slot, score))
        };
        match around.request.volumes.len() {
            0 => {}
            1 => return around.request.volumes.first().and_then(|holder| rank(cluster.slot(*holder)?)),
            _ => return None,
        }
        let required = around.affinities.iter().flatten().find(|(rule, _)| *rule == Rule::With);
        if let Some((_, spots)) = required {
            return spots.keys().copied().filter_map(rank).max();
        }
        // Nodes where nothing is that the request has an opinion about are in order; the others are few.
        let own = around.own.filter(|_| keeps_apart || around.request.most_per_node.is_some());
        let is_plain = |slot: Slot| {
            !own.is_some_and(|spots| spots.contains_key(&slot))
                && !around.affinities.iter().flatten().any(|(_, spots)| spots.contains_key(&slot))
        };
        let plain = tree.best_where(|position| is_plain(members[position]));
        let plain = plain.map(|(position, score)| (Reverse(0), score, Reverse(members[position])));
        let wished = around.affinities.iter().flatten().filter(|(rule, _)| matches!(rule, Rule::Prefer(_)));
        let wished = wished.flat_map(|(_, spots)| spots.keys().copied());
        let full = around.request.most_per_node == Some(1) || keeps_apart && plain.is_some();
        let own = own.filter(|_| !full).into_iter().flat_map(|spots| spots.keys().copied());
        wished.chain(own).filter_map(rank).chain(plain).max()
    }
}

/// How a node on which a request can be compares with others of the same standing.
pub(super) fn rank(around: &Surroundings<'_>, keeps_apart: bool, slot: Slot, score: Score) -> Rank {
    let alike = if keeps_apart { around.own_at(slot) } else { 0 };
    (Reverse(alike), score + around.bonus(slot), Reverse(slot))
}
