use crate::id::Id;
use crate::noun::TeamId;
use crate::rule::{Bounds, Claim, Footprint, Invalid, NounRules, Owner};

/// The id of a [`Quota`].
pub type QuotaId = Id<Quota>;

/// The most a team may use.
///
/// What is not set is what the quota of [`TeamId::SYSTEM`] says, which is for every team; what that does not set
/// either is not limited. The largest size of one instance is then that of the largest node, see [`Bounds`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The team. It has at most one quota.
    pub team: TeamId,
    /// Apps.
    pub apps: Option<u64>,
    /// Routes.
    pub routes: Option<u64>,
    /// Instances asked for, one-off jobs included.
    pub instances: Option<u64>,
    /// Thousandths of a core, summed over those instances.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory, summed over those instances.
    pub memory_bytes: Option<u64>,
    /// Bytes of volumes.
    pub volume_bytes: Option<u64>,
    /// Thousandths of a core of one instance.
    pub instance_cpu_millis: Option<u64>,
    /// Bytes of memory of one instance.
    pub instance_memory_bytes: Option<u64>,
    /// Bytes of disk of one instance.
    pub instance_disk_bytes: Option<u64>,
    /// Processes and threads of one instance.
    pub instance_pids: Option<u64>,
}

impl Quota {
    /// A quota that limits nothing.
    pub fn unlimited(team: TeamId) -> Self {
        Self {
            team,
            apps: None,
            routes: None,
            instances: None,
            cpu_millis: None,
            memory_bytes: None,
            volume_bytes: None,
            instance_cpu_millis: None,
            instance_memory_bytes: None,
            instance_disk_bytes: None,
            instance_pids: None,
        }
    }

    /// This quota, and of what it does not set what `other` says.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            team: self.team,
            apps: self.apps.or(other.apps),
            routes: self.routes.or(other.routes),
            instances: self.instances.or(other.instances),
            cpu_millis: self.cpu_millis.or(other.cpu_millis),
            memory_bytes: self.memory_bytes.or(other.memory_bytes),
            volume_bytes: self.volume_bytes.or(other.volume_bytes),
            instance_cpu_millis: self.instance_cpu_millis.or(other.instance_cpu_millis),
            instance_memory_bytes: self.instance_memory_bytes.or(other.instance_memory_bytes),
            instance_disk_bytes: self.instance_disk_bytes.or(other.instance_disk_bytes),
            instance_pids: self.instance_pids.or(other.instance_pids),
        }
    }
}

impl NounRules for Quota {
    fn owner(&self) -> Owner {
        Owner::Cluster
    }

    fn validate(&self) -> Result<(), Invalid> {
        let least = Bounds::LEAST;
        let sizes = [
            ("instance_memory_bytes", self.instance_memory_bytes, least.memory_bytes),
            ("instance_disk_bytes", self.instance_disk_bytes, least.disk_bytes),
            ("instance_pids", self.instance_pids, least.pids),
        ];
        let too_small = sizes.into_iter().find(|(_, size, least)| size.is_some_and(|size| size < *least));
        match too_small {
            Some((field, _, least)) => Err(Invalid::new(field, format!("with less than {least} no instance starts"))),
            None => Ok(()),
        }
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.team != next.team {
            return Err(Invalid::new("team", "a quota stays with its team"));
        }
        Ok(())
    }

    fn footprint(&self, _: QuotaId, (): &()) -> Footprint {
        // The system team is no object.
        let team = Some(self.team).filter(|team| *team != TeamId::SYSTEM);
        Footprint {
            claims: vec![Claim::Quota(self.team)],
            references: team.into_iter().map(Into::into).collect(),
            ..Footprint::default()
        }
    }
}
