use std::cmp::Reverse;

use flynn_core::JobId;
use flynn_core::rule::{Room, fits_into};
use flynn_core::value::Dimension;

use super::cluster::{Choice, Slot};
use super::demand::{Demand, Priority};
use super::index::Measure;
use super::policy::{POINT, Score};
use super::site::{Resident, Site};
use super::tree::NONE;

/// A node, and who has to leave it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// Where the job goes then, and which GPUs it has there.
    pub choice: Choice,
    /// The jobs that have to go, by id.
    pub victims: Vec<JobId>,
}

/// Orders nodes by how little a job of this priority displaces there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evictions {
    pub(super) priority: Priority,
}

impl Measure for Evictions {
    fn measure(&self, demand: &Demand, site: &Site, _: f64) -> Score {
        let Some((victims, room)) = victims(demand, self.priority, site) else {
            return NONE;
        };
        // Each part has its own range of digits. A wish for labels or neighbours is worth less than a victim.
        let highest = victims.iter().map(|victim| Score::from(victim.priority.0) + 1).max().unwrap_or(0);
        let count = (victims.len() as Score).min(999);
        let waste = if victims.is_empty() { 0 } else { waste(demand, site, &room) };
        -(highest * 1_000 * POINT * POINT + count * 1_000 * POINT + waste)
    }

    fn gauge(&self, _: &Site) -> f64 {
        0.0
    }

    fn keeps_apart(&self) -> bool {
        false
    }
}

/// Who has to go from the node at `slot` so that `demand` fits there.
pub(super) fn evict(demand: &Demand, priority: Priority, slot: Slot, site: &Site) -> Option<Eviction> {
    let (victims, room) = victims(demand, priority, site)?;
    let mut victims: Vec<JobId> = victims.into_iter().map(|victim| victim.job).collect();
    victims.sort_unstable();
    Some(Eviction { choice: Choice { slot, devices: room.gpus.tightest(demand.gpus)? }, victims })
}

/// A small set of jobs below `priority` without which `demand` fits, and the room there is then.
///
/// The highest priority among them is the lowest possible. If one of those up to it is enough by itself, it is the one
/// that wastes least. Else they go in the order of what each has of what is missing, until it is enough, and those
/// that turn out not to be needed stay, the greatest first.
fn victims<'a>(demand: &Demand, priority: Priority, site: &'a Site) -> Option<(Vec<&'a Resident>, Room)> {
    let excess = site.excess();
    let enough = |room: &Room| {
        let room = Room { resources: room.resources.minus(excess), ..*room };
        fits_into(&room, &demand.resources, demand.gpus).is_ok()
    };
    if enough(&site.free) {
        return Some((Vec::new(), site.free));
    }
    let lower = || site.residents.iter().filter(|resident| resident.priority < priority);
    if !enough(&lower().fold(site.free, |room, resident| without(&room, resident))) {
        return None;
    }
    let mut levels: Vec<Priority> = lower().map(|resident| resident.priority).collect();
    levels.sort_unstable();
    levels.dedup();
    let up_to = |level: Priority| lower().filter(move |resident| resident.priority <= level);
    let level = levels.into_iter().find(|level| {
        let room = up_to(*level).fold(site.free, |room, resident| without(&room, resident));
        enough(&room)
    })?;
    let single = up_to(level).map(|resident| (resident, without(&site.free, resident)));
    let single = single.filter(|(_, room)| enough(room));
    let single = single.min_by_key(|(resident, room)| (waste(demand, site, room), resident.priority, resident.job));
    if let Some((resident, room)) = single {
        return Some((vec![resident], room));
    }
    let missing = Missing::of(demand, site);
    let mut helpful: Vec<(u64, &Resident)> = up_to(level).map(|resident| (missing.help(resident), resident)).collect();
    helpful.sort_unstable_by_key(|(help, resident)| (Reverse(*help), resident.priority, resident.job));
    let mut room = site.free;
    let mut chosen: Vec<&Resident> = Vec::new();
    for (_, resident) in helpful {
        if enough(&room) {
            break;
        }
        room = without(&room, resident);
        chosen.push(resident);
    }
    chosen.sort_unstable_by_key(|resident| {
        let size = Dimension::ALL.map(|dimension| resident.resources.get(dimension));
        Reverse((resident.priority, size, resident.job))
    });
    chosen.retain(|resident| {
        let gpus = room.gpus.take(resident.devices, resident.gpus.millis);
        let with = gpus.map(|gpus| Room { resources: room.resources.minus(resident.resources), gpus });
        // The room holds what the resident takes, so nothing is cut off at zero.
        let stays = with.filter(enough);
        room = stays.unwrap_or(room);
        stays.is_none()
    });
    Some((chosen, room))
}

/// What a demand lacks on a node: for each dimension the amount.
struct Missing {
    amounts: [u64; Dimension::ALL.len()],
    gpus: u16,
    millis: u16,
}

impl Missing {
    fn of(demand: &Demand, site: &Site) -> Self {
        let free = &site.free;
        let excess = site.excess();
        let lack = |dimension| {
            let asked = demand.resources.get(dimension);
            // What is asked for nothing of needs no room, however overfull the node is.
            let excess = if asked == 0 { 0 } else { excess.get(dimension) };
            (asked + excess).saturating_sub(free.resources.get(dimension))
        };
        let asked = if demand.gpus.is_none() { 0 } else { demand.gpus.count };
        let gpus = asked.saturating_sub(free.gpus.with_at_least(demand.gpus.millis));
        Self { amounts: Dimension::ALL.map(lack), gpus, millis: demand.gpus.millis }
    }

    /// How much of it a job would leave behind, the sum of the shares in thousandths.
    fn help(&self, resident: &Resident) -> u64 {
        let resources = Dimension::ALL.into_iter().zip(self.amounts).filter(|(_, missing)| *missing > 0);
        let resources: u64 =
            resources.map(|(dimension, missing)| share(resident.resources.get(dimension), missing)).sum();
        if self.gpus == 0 || self.millis == 0 {
            return resources;
        }
        let part = u64::from(resident.gpus.millis.min(self.millis)) * resident.devices.len() as u64;
        resources + share(part, u64::from(self.gpus) * u64::from(self.millis))
    }
}

fn without(room: &Room, resident: &Resident) -> Room {
    Room {
        resources: room.resources.plus(resident.resources),
        gpus: room.gpus.give_back(resident.devices, resident.gpus.millis),
    }
}

/// What stays free beyond what is asked for, the sum of the shares of the node in thousandths.
fn waste(demand: &Demand, site: &Site, room: &Room) -> Score {
    let usable = &site.host.usable.resources;
    let left = Dimension::ALL.into_iter().map(|dimension| {
        let left = room.resources.get(dimension).saturating_sub(demand.resources.get(dimension));
        share(left, usable.get(dimension))
    });
    let gpus = room.gpus.total().saturating_sub(demand.gpus.total());
    (left.sum::<u64>() + share(gpus.into(), site.host.usable.gpus.total().into())) as Score
}

fn share(part: u64, whole: u64) -> u64 {
    // Amounts are below 2^50, so this does not overflow.
    (part.saturating_mul(1_000) / whole.max(1)).min(1_000)
}
