use crate::id::Id;
use crate::name::HostPattern;
use crate::noun::{AppId, NodeId, Noun, ObjectId, Objects, TeamId};
use crate::rule::{Claim, Invalid};
use crate::value::Resources;

/// What an object occupies in the indexes that the rules read. Derived from it alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Footprint {
    /// The app it hangs from.
    pub(crate) app: Option<AppId>,
    /// The node it is placed on.
    pub(crate) node: Option<NodeId>,
    /// Names and slots that no other object may hold at the same time.
    pub(crate) claims: Vec<Claim>,
    /// Hosts that only objects of one team may use.
    pub(crate) hosts: Vec<HostPattern>,
    /// Objects that must exist as long as it does.
    pub(crate) references: Vec<ObjectId>,
    /// What it takes from its node; none if it takes no place there.
    pub(crate) load: Option<Resources>,
    /// What it takes from its team's quota.
    pub(crate) usage: Usage,
}

/// What a team uses, in the dimensions of a [`Quota`](crate::noun::Quota).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Apps.
    pub apps: u64,
    /// Routes.
    pub routes: u64,
    /// Instances asked for: the sum of all formations, and one-off jobs and builds that have not ended.
    pub instances: u64,
    /// Resources of those instances.
    pub resources: Resources,
    /// Bytes of volumes.
    pub volume_bytes: u64,
}

impl Usage {
    /// Nothing.
    pub const ZERO: Self = Self { apps: 0, routes: 0, instances: 0, resources: Resources::ZERO, volume_bytes: 0 };

    /// What `team` uses in the state `objects`.
    pub fn of(team: TeamId, objects: &Objects) -> Self {
        let own = objects.all().filter(|object| object.team() == team);
        own.fold(Self::ZERO, |usage, object| usage.plus(object.footprint().usage))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            apps: self.apps.saturating_add(other.apps),
            routes: self.routes.saturating_add(other.routes),
            instances: self.instances.saturating_add(other.instances),
            resources: self.resources.plus(other.resources),
            volume_bytes: self.volume_bytes.saturating_add(other.volume_bytes),
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            apps: self.apps.saturating_sub(other.apps),
            routes: self.routes.saturating_sub(other.routes),
            instances: self.instances.saturating_sub(other.instances),
            resources: self.resources.minus(other.resources),
            volume_bytes: self.volume_bytes.saturating_sub(other.volume_bytes),
        }
    }
}

/// Who may own an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The cluster.
    Cluster,
    /// This team.
    Team(TeamId),
    /// Any team.
    Any,
}

/// The rules of one noun, kept beside its definition.
pub(crate) trait NounRules: Noun {
    /// Whether a removed object goes to the history instead of away.
    const ARCHIVED: bool = false;

    /// Who owns an object with this spec.
    fn owner(&self) -> Owner {
        Owner::Any
    }

    /// Whether the values of this spec are possible at all.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Whether this spec may become `next`.
    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        let _ = next;
        Ok(())
    }

    /// Whether this spec, which has status `old`, may be reported as `new`.
    fn validate_report(&self, old: &Self::Status, new: &Self::Status) -> Result<(), Invalid> {
        let _ = (old, new);
        Ok(())
    }

    /// Whether spec and status fit together once a batch is complete.
    fn validate_whole(&self, status: &Self::Status) -> Result<(), Invalid> {
        let _ = status;
        Ok(())
    }

    /// Whether an object in this state may be removed.
    fn validate_removal(&self, status: &Self::Status) -> Result<(), Invalid> {
        let _ = status;
        Ok(())
    }

    /// What the object occupies.
    fn footprint(&self, id: Id<Self>, status: &Self::Status) -> Footprint;
}
