use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use flynn_core::name::{LabelKey, LabelValue};
use flynn_core::noun::{Liveness, Scheduling};
use flynn_core::rule::{Misfit, fits_into, takes_work};
use flynn_core::value::{Devices, Resources};
use flynn_core::{AppId, JobId, NodeId};

use super::site::gpu_class;
use super::{Group, Host, Resident, Site};
use crate::seed::draw;

/// The place of a node in the order of a [`Cluster`]. Of equally good nodes the one with the lowest is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub(super) u32);

impl Slot {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// How many instances of something there are on which nodes.
pub(super) type Spots = BTreeMap<Slot, u32>;

/// Nodes in a fixed order, what is on them, and a log of which of them changed.
///
/// The order is drawn from the seed and the ids of the nodes: the same nodes and seed give the same order, whatever
/// order they came in.
#[derive(Debug, Clone)]
pub struct Cluster {
    sites: Vec<Site>,
    slots: HashMap<NodeId, Slot>,
    classes: Vec<Arc<BTreeMap<LabelKey, LabelValue>>>,
    apps: HashMap<AppId, Spots>,
    groups: HashMap<Group, Spots>,
    log: VecDeque<Slot>,
    /// How many changes there were before those in `log`.
    forgotten: u64,
}

impl Cluster {
    /// Empty nodes, in an order drawn from `seed`. Of nodes with the same id one is kept.
    pub fn new(hosts: impl IntoIterator<Item = Host>, seed: u64) -> Self {
        let hosts: BTreeMap<NodeId, Host> = hosts.into_iter().map(|host| (host.id, host)).collect();
        let mut ordered: Vec<(u64, Host)> = hosts.into_values().map(|host| (draw(seed, host.id), host)).collect();
        ordered.sort_by_key(|(order, host)| (*order, host.id));
        let mut classes: BTreeMap<BTreeMap<LabelKey, LabelValue>, u32> = BTreeMap::new();
        let mut sites = Vec::with_capacity(ordered.len());
        for (_, host) in ordered {
            let next = u32::try_from(classes.len()).unwrap_or(u32::MAX);
            let class = *classes.entry(host.labels.clone()).or_insert(next);
            let (load, free) = (Resources::ZERO, host.usable);
            let (residents, gpu_tenants) = (Vec::new(), Default::default());
            sites.push(Site { host, load, free, residents, gpu_tenants, class, changed: 0 });
        }
        let slots = (0..).map(Slot).zip(&sites).map(|(slot, site)| (site.host.id, slot)).collect();
        let mut by_number: Vec<_> = classes.into_iter().collect();
        by_number.sort_by_key(|(_, number)| *number);
        let classes = by_number.into_iter().map(|(labels, _)| Arc::new(labels)).collect();
        let (apps, groups, log) = (HashMap::new(), HashMap::new(), VecDeque::new());
        Self { sites, slots, classes, apps, groups, log, forgotten: 0 }
    }

    /// The nodes, in their order.
    pub fn sites(&self) -> impl ExactSizeIterator<Item = (Slot, &Site)> {
        self.sites.iter().enumerate().map(|(index, site)| (Slot(u32::try_from(index).unwrap_or(u32::MAX)), site))
    }

    /// The node at `slot`, which must come from this cluster.
    pub fn site(&self, slot: Slot) -> &Site {
        &self.sites[slot.index()]
    }

    /// Where a node is.
    pub fn slot(&self, node: NodeId) -> Option<Slot> {
        self.slots.get(&node).copied()
    }

    /// Puts a job on a node. It is judged by the rule by which the store judges it, whatever chose the node.
    ///
    /// # Errors
    /// Why it does not fit; nothing has changed then.
    pub fn take(&mut self, slot: Slot, resident: Resident) -> Result<(), Misfit> {
        let site = &self.sites[slot.index()];
        takes_work(site.host.liveness, site.host.scheduling)?;
        fits_into(&site.free, &resident.resources, resident.gpus)?;
        let asked = resident.gpus;
        let gpus = site.free.gpus.take(resident.devices, asked.millis);
        let enough = asked.is_none() || resident.devices.len() == usize::from(asked.count);
        if gpus.filter(|_| enough).is_none() {
            let free = site.free.gpus.with_at_least(asked.millis);
            return Err(Misfit::TooFewGpus { free, asked: asked.count, millis: asked.millis });
        }
        self.seat(slot, resident);
        Ok(())
    }

    /// Counts a job that is on the node already, even if the node takes no work or has less than its jobs asked for.
    pub fn seat(&mut self, slot: Slot, resident: Resident) {
        let site = &mut self.sites[slot.index()];
        let asked = resident.gpus;
        site.free.gpus = site.free.gpus.take(resident.devices, asked.millis).unwrap_or(site.free.gpus);
        site.set_load(site.load.plus(resident.resources));
        if let Some(class) = gpu_class(asked) {
            site.gpu_tenants[class] += 1;
        }
        *self.apps.entry(resident.group.app).or_default().entry(slot).or_default() += 1;
        if let Some(spots) = self.groups.get_mut(&resident.group) {
            *spots.entry(slot).or_default() += 1;
        } else {
            self.groups.insert(resident.group.clone(), Spots::from([(slot, 1)]));
        }
        site.residents.push(resident);
        self.note(slot);
    }

    /// Takes a job off a node; nothing if it is not there.
    pub fn release(&mut self, slot: Slot, job: JobId) -> Option<Resident> {
        let site = &mut self.sites[slot.index()];
        let at = site.residents.iter().position(|resident| resident.job == job)?;
        let resident = site.residents.swap_remove(at);
        site.set_load(site.load.minus(resident.resources));
        site.free.gpus = site.free.gpus.give_back(resident.devices, resident.gpus.millis);
        if let Some(class) = gpu_class(resident.gpus) {
            site.gpu_tenants[class] -= 1;
        }
        leave(&mut self.apps, &resident.group.app, slot);
        leave(&mut self.groups, &resident.group, slot);
        self.note(slot);
        Some(resident)
    }

    /// Says whether a node is there and whether it takes work. What is on it stays.
    pub fn set_state(&mut self, slot: Slot, liveness: Liveness, scheduling: Scheduling) {
        let host = &mut self.sites[slot.index()].host;
        if (host.liveness, host.scheduling) != (liveness, scheduling) {
            (host.liveness, host.scheduling) = (liveness, scheduling);
            self.note(slot);
        }
    }

    /// The different sets of labels that nodes have.
    pub(super) fn classes(&self) -> &[Arc<BTreeMap<LabelKey, LabelValue>>] {
        &self.classes
    }

    pub(super) fn of_app(&self, app: AppId) -> Option<&Spots> {
        self.apps.get(&app)
    }

    pub(super) fn of_group(&self, group: &Group) -> Option<&Spots> {
        self.groups.get(group)
    }

    /// How many changes there have been.
    pub(super) fn version(&self) -> u64 {
        self.forgotten + self.log.len() as u64
    }

    /// The nodes that changed since `version`, each once; nothing if the log does not reach back so far.
    pub(super) fn changed_since(&self, version: u64) -> Option<impl Iterator<Item = Slot>> {
        let known = usize::try_from(version.checked_sub(self.forgotten)?).ok()?;
        let positions = self.log.range(known.min(self.log.len())..).copied().zip(version + 1..);
        Some(positions.filter(|(slot, position)| self.site(*slot).changed == *position).map(|(slot, _)| slot))
    }

    fn note(&mut self, slot: Slot) {
        // A reader that is further behind than this looks at every node instead.
        if self.log.len() >= self.sites.len().max(64) {
            let half = self.log.len() / 2;
            self.log.drain(..half);
            self.forgotten += half as u64;
        }
        self.log.push_back(slot);
        self.sites[slot.index()].changed = self.version();
    }
}

fn leave<K: std::hash::Hash + Eq>(all: &mut HashMap<K, Spots>, key: &K, slot: Slot) {
    let Some(spots) = all.get_mut(key) else {
        return;
    };
    if let Some(count) = spots.get_mut(&slot) {
        *count -= 1;
        if *count == 0 {
            spots.remove(&slot);
        }
    }
    if spots.is_empty() {
        all.remove(key);
    }
}

/// GPUs of a node, chosen with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Where.
    pub slot: Slot,
    /// Which of its GPUs.
    pub devices: Devices,
}
