use crate::id::Id;
use crate::name::NodeName;
use crate::noun::Liveness;
use crate::rule::{Claim, Footprint, Invalid, NounRules, Owner, check_text};

/// The id of a [`Router`].
pub type RouterId = Id<Router>;

/// A process that takes requests in at the edge. An address it may still route to is not given away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// Its name, unique among routers.
    pub name: NodeName,
}

/// What is known of a router.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouterStatus {
    /// Whether it is there.
    pub liveness: Liveness,
    /// The version of its binary.
    pub version: String,
}

impl NounRules for Router {
    fn owner(&self) -> Owner {
        Owner::Cluster
    }

    fn validate_report(&self, _: &RouterStatus, new: &RouterStatus) -> Result<(), Invalid> {
        check_text("version", &new.version, 128)
    }

    fn footprint(&self, _: RouterId, _: &RouterStatus) -> Footprint {
        Footprint { claims: vec![Claim::RouterName(self.name.clone())], ..Footprint::default() }
    }
}
