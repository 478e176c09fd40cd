use std::collections::BTreeMap;
use std::sync::Arc;

use flynn_core::name::{LabelKey, LabelValue};

use super::cluster::{Cluster, Slot, Spots};
use super::obstacle::Obstacle;

/// The nodes of a cluster by the value they have for a label, or all together.
#[derive(Debug)]
pub(super) struct Layout {
    /// The values, in their order; those without the label are last.
    values: Vec<Option<LabelValue>>,
    members: Vec<Vec<Slot>>,
    /// For each slot its domain and its place in there.
    places: Vec<(u32, u32)>,
}

impl Layout {
    pub(super) fn new(cluster: &Cluster, label: Option<&LabelKey>) -> Self {
        let value = |slot: Slot| cluster.site(slot).host.labels.get(label?).cloned();
        let mut by_value: BTreeMap<(bool, Option<LabelValue>), Vec<Slot>> = BTreeMap::new();
        for (slot, _) in cluster.sites() {
            let value = value(slot);
            by_value.entry((value.is_none(), value)).or_default().push(slot);
        }
        let mut places = vec![(0, 0); cluster.sites().len()];
        for (domain, members) in (0u32..).zip(by_value.values()) {
            for (position, slot) in (0u32..).zip(members) {
                places[slot.index()] = (domain, position);
            }
        }
        let (values, members) = by_value.into_iter().map(|((_, value), members)| (value, members)).unzip();
        Self { values, members, places }
    }

    pub(super) fn domains(&self) -> usize {
        self.values.len()
    }

    pub(super) fn members(&self, domain: usize) -> &[Slot] {
        &self.members[domain]
    }

    /// The domain of a node, and its place in there.
    pub(super) fn place(&self, slot: Slot) -> (usize, usize) {
        let (domain, position) = self.places[slot.index()];
        (domain as usize, position as usize)
    }
}

/// How many instances of a group each value of a label has.
#[derive(Debug)]
pub(super) struct Domains {
    layout: Arc<Layout>,
    counts: Vec<u32>,
    /// The greatest difference that is allowed, and the fewest instances that a value has.
    skew: Option<(u32, u32)>,
}

impl Domains {
    /// `is_live` says whether a domain has a node that is open and whose labels suit.
    pub(super) fn new(
        layout: Arc<Layout>,
        own: Option<&Spots>,
        max_skew: Option<u32>,
        is_live: impl Fn(usize) -> bool,
    ) -> Self {
        let mut counts = vec![0u32; layout.domains()];
        for (slot, count) in own.into_iter().flatten() {
            counts[layout.place(*slot).0] += count;
        }
        let labelled = (0..layout.domains()).filter(|domain| layout.values[*domain].is_some() && is_live(*domain));
        let least = labelled.map(|domain| counts[domain]).min().unwrap_or(0);
        Self { layout, counts, skew: max_skew.map(|most| (most, least)) }
    }

    /// The lower, the sooner the domain is used.
    pub(super) fn standing(&self, domain: usize) -> u32 {
        match self.layout.values[domain] {
            Some(_) => self.counts[domain],
            None => u32::MAX,
        }
    }

    pub(super) fn standing_of(&self, slot: Slot) -> u32 {
        self.standing(self.layout.place(slot).0)
    }

    pub(super) fn obstacle(&self, slot: Slot) -> Option<Obstacle> {
        self.closed(self.layout.place(slot).0)
    }

    /// What speaks against every node of a domain.
    pub(super) fn closed(&self, domain: usize) -> Option<Obstacle> {
        let (most, least) = self.skew?;
        let Some(value) = &self.layout.values[domain] else {
            return Some(Obstacle::NoDomain);
        };
        let here = self.counts[domain];
        (here >= least.saturating_add(most)).then(|| Obstacle::Skew { value: value.clone(), here, least })
    }
}
