use std::collections::BTreeSet;
use std::fmt;

use flynn_core::name::LabelKey;
use flynn_core::rule::Invalid;
use flynn_core::value::{Dimension, GpuRequest, MOST_GPUS, Resources, WHOLE_GPU};
use flynn_core::{AppId, NodeId};

use super::{Constraint, Group};

/// What a job asks of a node by itself, whatever else runs. Jobs that ask for the same are planned with one index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Demand {
    /// Amounts.
    pub resources: Resources,
    /// GPUs.
    pub gpus: GpuRequest,
    /// What the labels of the node must be like, all of it.
    pub constraints: Vec<Constraint>,
    /// What the labels of the node should be like.
    pub preferences: Vec<Preference>,
}

/// A wish for the labels of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Preference {
    /// What they should be like.
    pub constraint: Constraint,
    /// What that is worth, in points; negative if it should not be so.
    pub weight: Weight,
}

/// What a wish is worth, in points from −100 to 100. The score of a policy is from 0 to 100 points.
pub type Weight = i8;

/// A job that needs a node, and how it stands to what is there already.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// What it is an instance of.
    pub group: Group,
    /// What it asks for.
    pub demand: Demand,
    /// The nodes that hold its volumes. With more than one it fits nowhere.
    pub volumes: BTreeSet<NodeId>,
    /// Beside what it must, must not, should or should not be.
    pub affinities: Vec<Affinity>,
    /// Over which label the instances of its group are spread.
    pub spread: Option<Spread>,
    /// At most so many instances of its group on one node.
    pub most_per_node: Option<u32>,
    /// Who makes room for whom.
    pub priority: Priority,
}

/// How a job stands to the instances of something on the same node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Affinity {
    /// To what.
    pub toward: Toward,
    /// How.
    pub rule: Rule,
}

/// Instances of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Toward {
    /// Of an app.
    App(AppId),
    /// Of a process type of an app.
    Group(Group),
}

/// How a job stands to instances on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Only on a node that has one. The first instance of what asks to be with its own kind may be anywhere.
    With,
    /// Only on a node that has none.
    Apart,
    /// Rather on a node that has one; rather not, if negative.
    Prefer(Weight),
}

/// Instances of one group are kept as equal in number as they can be over the values of a label.
///
/// Among the values with the fewest instances the best node is taken; where none has room, the next value. Nodes
/// without the label come last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spread {
    /// The label, such as `zone`.
    pub label: LabelKey,
    /// No value may have so many instances more than another that has a node which is open and whose labels suit.
    /// Nodes without the label are not used then.
    pub max_skew: Option<u32>,
}

/// Who makes room for whom: a job may take the place of jobs with a lower priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

impl Priority {
    /// Runs while there is room.
    pub const BATCH: Self = Self(50);
    /// What people use.
    pub const SERVICE: Self = Self(100);
    /// What the platform needs for itself.
    pub const SYSTEM: Self = Self(200);
}

impl Default for Priority {
    fn default() -> Self {
        Self::SERVICE
    }
}

impl Request {
    /// An instance of `group` that asks for `demand` and nothing else.
    pub fn new(group: Group, demand: Demand) -> Self {
        let (volumes, affinities, spread, most_per_node) = (BTreeSet::new(), Vec::new(), None, None);
        Self { group, demand, volumes, affinities, spread, most_per_node, priority: Priority::default() }
    }

    /// Whether the values are possible at all and do not contradict each other.
    ///
    /// # Errors
    /// The first field that cannot be, by its path.
    pub fn validate(&self) -> Result<(), Invalid> {
        const MOST: u64 = 1 << 50;
        for dimension in Dimension::ALL {
            let amount = self.demand.resources.get(dimension);
            if amount > MOST {
                let problem = format!("{amount} of {dimension} is more than the {MOST} allowed");
                return Err(Invalid::new("resources", problem));
            }
        }
        let gpus = self.demand.gpus;
        if usize::from(gpus.count) > MOST_GPUS || gpus.millis > WHOLE_GPU || (gpus.count == 0) != (gpus.millis == 0) {
            let problem =
                format!("ask for 1 to {MOST_GPUS} GPUs and 1 to {WHOLE_GPU} thousandths of each, or for none");
            return Err(Invalid::new("gpus", problem));
        }
        for (index, preference) in self.demand.preferences.iter().enumerate() {
            check_weight(&format!("preferences.{index}.weight"), preference.weight)?;
        }
        for (index, affinity) in self.affinities.iter().enumerate() {
            let field = format!("affinities.{index}");
            if let Rule::Prefer(weight) = affinity.rule {
                check_weight(&format!("{field}.weight"), weight)?;
            }
            let opposite = match affinity.rule {
                Rule::With => Rule::Apart,
                Rule::Apart => Rule::With,
                Rule::Prefer(_) => continue,
            };
            let is_opposite = |other: &Affinity| other.toward == affinity.toward && other.rule == opposite;
            if self.affinities.iter().any(is_opposite) {
                return Err(Invalid::new(field, "no node can both have an instance of it and have none"));
            }
        }
        if self.most_per_node == Some(0) {
            return Err(Invalid::new("most_per_node", "with none on each node it fits nowhere: use 1 or more"));
        }
        if self.spread.as_ref().is_some_and(|spread| spread.max_skew == Some(0)) {
            return Err(Invalid::new("spread.max_skew", "the first instance makes a difference of 1: use 1 or more"));
        }
        Ok(())
    }
}

fn check_weight(field: &str, weight: Weight) -> Result<(), Invalid> {
    if weight == 0 || !(-100..=100).contains(&weight) {
        return Err(Invalid::new(field, "use −100 to −1 or 1 to 100 points"));
    }
    Ok(())
}

impl Toward {
    pub(super) fn includes(&self, group: &Group) -> bool {
        match self {
            Self::App(app) => *app == group.app,
            Self::Group(other) => other == group,
        }
    }
}

impl fmt::Display for Toward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(app) | Self::Group(Group { app, process: None }) => write!(f, "app {app}"),
            Self::Group(Group { app, process: Some(process) }) => write!(f, "{process} of app {app}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group { app: AppId::NIL, process: None }
    }

    fn check(change: impl FnOnce(&mut Request), field: &str) {
        let mut request = Request::new(group(), Demand::default());
        assert_eq!(request.validate(), Ok(()));
        change(&mut request);
        assert_eq!(request.validate().unwrap_err().field, field);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        check(|request| request.demand.resources.cpu_millis = u64::MAX, "resources");
        check(|request| request.demand.gpus = GpuRequest::shared(1_001), "gpus");
        check(|request| request.demand.gpus = GpuRequest { count: 17, millis: 1_000 }, "gpus");
        check(|request| request.demand.gpus = GpuRequest { count: 2, millis: 0 }, "gpus");
        check(|request| request.most_per_node = Some(0), "most_per_node");
        let label = LabelKey::new("zone").unwrap();
        check(|request| request.spread = Some(Spread { label, max_skew: Some(0) }), "spread.max_skew");
        let prefer = |weight| Affinity { toward: Toward::App(AppId::NIL), rule: Rule::Prefer(weight) };
        check(|request| request.affinities = vec![prefer(5), prefer(-101)], "affinities.1.weight");
        let affinity = |rule| Affinity { toward: Toward::Group(group()), rule };
        check(|request| request.affinities = vec![affinity(Rule::With), affinity(Rule::Apart)], "affinities.0");
        let constraint: Constraint = "zone = eu".parse().unwrap();
        check(
            |request| request.demand.preferences = vec![Preference { constraint, weight: 0 }],
            "preferences.0.weight",
        );
    }
}
