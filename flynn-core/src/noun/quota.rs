use crate::id::Id;
use crate::noun::TeamId;
use crate::rule::{Claim, Footprint, Invalid, NounRules, Owner};

/// The id of a [`Quota`].
pub type QuotaId = Id<Quota>;

/// The most a team may use. What is not set is not limited.
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
        }
    }
}

impl NounRules for Quota {
    fn owner(&self) -> Owner {
        Owner::Cluster
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.team != next.team {
            return Err(Invalid::new("team", "a quota stays with its team"));
        }
        Ok(())
    }

    fn footprint(&self, _: QuotaId, (): &()) -> Footprint {
        Footprint { claims: vec![Claim::Quota(self.team)], references: vec![self.team.into()], ..Footprint::default() }
    }
}
