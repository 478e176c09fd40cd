use crate::change::{Action, Change};
use crate::name::ProcessName;
use crate::noun::{Formation, Node, Objects, Quota, Scale, TeamId};
use crate::rule::{Invalid, quota_of};
use crate::value::{Amount, Dimension, Resources};

/// What one instance may ask for at least and at most.
///
/// It is for what people ask: what the platform asks for itself is bounded by nodes and quotas alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At least.
    pub least: Resources,
    /// At most.
    pub most: Resources,
}

impl Bounds {
    /// Below this no process gets as far as its first instruction. Of processor time nothing is a good answer: it
    /// reserves none, and shares what others leave.
    pub const LEAST: Resources = Resources { cpu_millis: 0, memory_bytes: 8 << 20, disk_bytes: 1 << 20, pids: 8 };

    /// The most where neither a quota nor a node says anything: 1,024 cores, 16 TiB of memory, 1 PiB of disk, and as
    /// many processes as Linux numbers by default.
    pub const MOST: Resources =
        Resources { cpu_millis: 1_024_000, memory_bytes: 1 << 44, disk_bytes: 1 << 50, pids: 32_768 };

    /// The bounds of an instance of `team` in the state `objects`.
    ///
    /// In each dimension the most is what the quota of the team says of one instance; where that says nothing, what the
    /// largest node has for jobs, but no more than [`MOST`](Self::MOST).
    pub fn of(team: TeamId, objects: &Objects) -> Self {
        let quota = quota_of(team, objects);
        let most = |dimension| instance_limit(&quota, dimension).unwrap_or_else(|| largest(dimension, objects));
        Self {
            least: Self::LEAST,
            most: Resources {
                cpu_millis: most(Dimension::Cpu),
                memory_bytes: most(Dimension::Memory),
                disk_bytes: most(Dimension::Disk),
                pids: most(Dimension::Pids),
            },
        }
    }

    /// Whether an instance may ask for `asked`, which stands in the request at `field`.
    ///
    /// # Errors
    /// The first dimension in which it may not, with its range.
    pub fn check(&self, field: &str, asked: &Resources) -> Result<(), Invalid> {
        for dimension in Dimension::ALL {
            let [asked, least, most] = [asked, &self.least, &self.most].map(|amounts| amounts.get(dimension));
            if asked < least || asked > most {
                let [asked, least, most] = [asked, least, most].map(|amount| Amount(dimension, amount));
                let problem = format!("{asked} is not from {least} to {most}");
                return Err(Invalid::new(format!("{field}.{}", name(dimension)), problem));
            }
        }
        Ok(())
    }
}

/// The name of the field in requests.
fn name(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Cpu => "cpu_millis",
        Dimension::Memory => "memory_bytes",
        Dimension::Disk => "disk_bytes",
        Dimension::Pids => "pids",
    }
}

fn instance_limit(quota: &Quota, dimension: Dimension) -> Option<u64> {
    match dimension {
        Dimension::Cpu => quota.instance_cpu_millis,
        Dimension::Memory => quota.instance_memory_bytes,
        Dimension::Disk => quota.instance_disk_bytes,
        Dimension::Pids => quota.instance_pids,
    }
}

fn largest(dimension: Dimension, objects: &Objects) -> u64 {
    let usable = |node: &Node, capacity: Resources| capacity.minus(node.reserved).get(dimension);
    let nodes = objects.iter::<Node>().map(|node| usable(&node.spec, node.status.capacity));
    let most = Bounds::MOST.get(dimension);
    // A node that was not heard of yet has nothing.
    nodes.max().filter(|largest| *largest > 0).map_or(most, |largest| largest.min(most))
}

/// Whether a person may ask for the sizes of instances in `change`, and for nodes that are like this.
///
/// What a formation says already can stay: a size that was allowed once does not stand in the way of another change.
///
/// # Errors
/// A size is out of its bounds, or no node is as it would have to be.
pub(crate) fn check_sizes(change: &Change, objects: &Objects) -> Result<(), Invalid> {
    match change {
        Change::Formation(write) => match &write.action {
            Action::Create { team, spec } => check_formation(spec, None, &Bounds::of(*team, objects), objects),
            Action::Update(next) => match objects.get(write.id) {
                Some(old) => check_formation(next, Some(&old.spec), &Bounds::of(old.team, objects), objects),
                None => Ok(()),
            },
            Action::Report(()) | Action::Remove => Ok(()),
        },
        Change::Job(write) => match &write.action {
            Action::Create { team, spec } => Bounds::of(*team, objects).check("resources", &spec.resources),
            _ => Ok(()),
        },
        // How large a build is the platform decides.
        Change::Build(write) => match &write.action {
            Action::Create { spec, .. } => {
                Bounds { least: Bounds::LEAST, most: Bounds::MOST }.check("resources", &spec.resources)
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_formation(
    next: &Formation,
    old: Option<&Formation>,
    bounds: &Bounds,
    objects: &Objects,
) -> Result<(), Invalid> {
    let stays = |name: &ProcessName, scale: &Scale| {
        let old = old.and_then(|old| old.processes.get(name));
        old.is_some_and(|old| old.resources == scale.resources && old.count >= scale.count)
    };
    let mut changed = next.processes.iter().filter(|(name, scale)| !stays(name, scale));
    changed.try_for_each(|(name, scale)| bounds.check(&format!("processes.{name}"), &scale.resources))?;
    let is_where_it_was = |name: &ProcessName, scale: &Scale| {
        let old = old.and_then(|old| old.processes.get(name));
        old.is_some_and(|old| old.placement == scale.placement)
    };
    let mut moved = next.processes.iter().filter(|(name, scale)| !is_where_it_was(name, scale));
    moved.try_for_each(|(name, scale)| scale.placement.check_nodes(&format!("processes.{name}.placement"), objects))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::noun::Scale;

    fn resources(cpu_millis: u64, memory_bytes: u64, disk_bytes: u64, pids: u64) -> Resources {
        Resources { cpu_millis, memory_bytes, disk_bytes, pids }
    }

    proptest! {
        /// What is between the ends is allowed and nothing else, and a refusal names a dimension that is out.
        #[test]
        fn what_is_within_the_bounds_is_allowed(
            cpu in 0..2_000_000_u64, memory in 0..1_u64 << 45, disk in 0..1_u64 << 51, pids in 0..70_000_u64,
        ) {
            let bounds = Bounds { least: Bounds::LEAST, most: Bounds::MOST };
            let asked = resources(cpu, memory, disk, pids);
            let out: Vec<_> = Dimension::ALL
                .into_iter()
                .filter(|d| asked.get(*d) < Bounds::LEAST.get(*d) || asked.get(*d) > Bounds::MOST.get(*d))
                .map(|dimension| format!("x.{}", name(dimension)))
                .collect();
            match bounds.check("x", &asked) {
                Ok(()) => prop_assert!(out.is_empty()),
                Err(invalid) => prop_assert_eq!(Some(&invalid.field), out.first()),
            }
        }
    }

    #[test]
    fn the_ends_are_allowed_and_a_refusal_names_value_and_range() {
        let bounds = Bounds { least: Bounds::LEAST, most: resources(4_000, 1 << 30, 1 << 30, 32_768) };
        for good in [bounds.least, bounds.most, Scale::RESOURCES] {
            assert_eq!(bounds.check("processes.web", &good), Ok(()));
        }
        let problem = |asked| bounds.check("processes.web", &asked).unwrap_err().to_string();
        assert_eq!(
            problem(Resources { memory_bytes: 0, ..Scale::RESOURCES }),
            "processes.web.memory_bytes: 0 is not from 8 MiB to 1 GiB"
        );
        assert_eq!(
            problem(Resources { pids: 100_000, ..Scale::RESOURCES }),
            "processes.web.pids: 100000 is not from 8 to 32768"
        );
    }

    #[test]
    fn without_nodes_and_quotas_the_constants_hold() {
        assert_eq!(Bounds::of(TeamId::SYSTEM, &Objects::default()).most, Bounds::MOST);
    }
}
