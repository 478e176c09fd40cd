use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::name::{LabelKey, LabelValue};
use crate::noun::{Node, Objects};
use crate::rule::Invalid;

/// Which nodes the instances of a process type may be on, and how they are spread over them.
///
/// It is asked when an instance gets its node. What has one stays there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Placement {
    /// What the labels of the node must be like, all of it.
    pub constraints: Vec<LabelConstraint>,
    /// The label over whose values the instances are kept as equal in number as they can be.
    pub spread: Option<LabelKey>,
    /// At most so many instances on one node.
    pub most_per_node: Option<u32>,
}

/// What one label of a node must be like. As text:
///
/// | Text | Holds when the label |
/// |---|---|
/// | `zone = eu-1` | has this value |
/// | `zone != eu-1` | has another value or is missing |
/// | `zone in eu-1, eu-2` | has one of these values |
///
/// ```
/// use flynn_core::noun::LabelConstraint;
///
/// let constraint: LabelConstraint = "zone in eu-1,eu-2".parse()?;
/// assert_eq!(constraint.to_string(), "zone in eu-1, eu-2");
/// assert!("zone is eu-1".parse::<LabelConstraint>().is_err());
/// # Ok::<(), flynn_core::noun::LabelConstraintError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LabelConstraint {
    /// The label that is asked about.
    pub label: LabelKey,
    /// What it must be like.
    pub test: LabelTest,
}

/// What the value of a label must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LabelTest {
    /// This one.
    Is(LabelValue),
    /// Another one, or none.
    IsNot(LabelValue),
    /// One of these.
    In(Vec<LabelValue>),
}

/// A text that is not a [`LabelConstraint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not a constraint: {problem}")]
pub struct LabelConstraintError {
    input: String,
    problem: String,
}

impl Placement {
    /// Any node will do, and nothing is spread over labels.
    pub const ANY: Self = Self { constraints: Vec::new(), spread: None, most_per_node: None };

    /// The most constraints of one process type.
    pub const MOST_CONSTRAINTS: usize = 20;

    /// Whether nothing is asked.
    pub fn is_any(&self) -> bool {
        *self == Self::ANY
    }

    /// Whether a node with these labels may have an instance.
    pub fn suits(&self, labels: &BTreeMap<LabelKey, LabelValue>) -> bool {
        self.constraints.iter().all(|constraint| constraint.holds(labels))
    }

    /// Whether it is possible at all; `field` is where it stands.
    pub(crate) fn validate(&self, field: &str) -> Result<(), Invalid> {
        if self.constraints.len() > Self::MOST_CONSTRAINTS {
            let problem = format!("at most {} constraints", Self::MOST_CONSTRAINTS);
            return Err(Invalid::new(format!("{field}.constraints"), problem));
        }
        for (index, constraint) in self.constraints.iter().enumerate() {
            let values = constraint.test.values();
            if !(1..=LabelTest::MOST_VALUES).contains(&values.len())
                || values.iter().any(|value| value.as_str().is_empty())
            {
                let problem = format!("compare the label with 1 to {} values, none empty", LabelTest::MOST_VALUES);
                return Err(Invalid::new(format!("{field}.constraints.{index}"), problem));
            }
        }
        if self.most_per_node == Some(0) {
            let problem = "with none on each node it fits nowhere: use 1 or more";
            return Err(Invalid::new(format!("{field}.most_per_node"), problem));
        }
        Ok(())
    }

    /// Whether some node of `objects` is as it must be. Without any node everything may become true.
    pub(crate) fn check_nodes(&self, field: &str, objects: &Objects) -> Result<(), Invalid> {
        if objects.count::<Node>() == 0 {
            return Ok(());
        }
        let nodes = || objects.iter::<Node>().map(|node| &node.spec.labels);
        let is_known = |label: &LabelKey| nodes().any(|labels| labels.contains_key(label));
        for (index, constraint) in self.constraints.iter().enumerate() {
            let field = format!("{field}.constraints.{index}");
            if !is_known(&constraint.label) {
                return Err(Invalid::new(field, unknown(&constraint.label)));
            }
            if !nodes().any(|labels| constraint.holds(labels)) {
                return Err(Invalid::new(field, format!("no node is `{constraint}`: see the labels of the nodes")));
            }
        }
        if !nodes().any(|labels| self.suits(labels)) {
            return Err(Invalid::new(format!("{field}.constraints"), "no node is all of that at once"));
        }
        match &self.spread {
            Some(label) if !is_known(label) => Err(Invalid::new(format!("{field}.spread"), unknown(label))),
            _ => Ok(()),
        }
    }
}

fn unknown(label: &LabelKey) -> String {
    format!("no node has the label {label}: give it to one first")
}

impl LabelConstraint {
    /// Whether a node with these labels is as it must be.
    pub fn holds(&self, labels: &BTreeMap<LabelKey, LabelValue>) -> bool {
        self.test.holds(labels.get(&self.label))
    }
}

impl LabelTest {
    /// The most values of one list.
    pub const MOST_VALUES: usize = 100;

    /// What the label is compared with.
    pub fn values(&self) -> &[LabelValue] {
        match self {
            Self::Is(value) | Self::IsNot(value) => std::slice::from_ref(value),
            Self::In(values) => values,
        }
    }

    /// Whether this value, or none, is as it must be.
    pub fn holds(&self, value: Option<&LabelValue>) -> bool {
        match self {
            Self::Is(wanted) => value == Some(wanted),
            Self::IsNot(unwanted) => value != Some(unwanted),
            Self::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
        }
    }
}

impl FromStr for LabelConstraint {
    type Err = LabelConstraintError;

    fn from_str(input: &str) -> Result<Self, LabelConstraintError> {
        const SHAPE: &str = "write LABEL = VALUE, LABEL != VALUE or LABEL in VALUE, VALUE";
        // The input may be hostile: keep the message short and printable.
        let shown = || input.chars().take(200).flat_map(char::escape_debug).collect();
        let fail = |problem: String| LabelConstraintError { input: shown(), problem };
        let operators = ["!=", "=", " in "].into_iter();
        let words = operators
            .filter_map(|operator| input.split_once(operator).map(|(label, operand)| (label, operator, operand)));
        let (label, operator, operand) =
            words.min_by_key(|(label, ..)| label.len()).ok_or_else(|| fail(SHAPE.into()))?;
        let label = LabelKey::new(label.trim()).map_err(|error| fail(error.to_string()))?;
        let value = |text: &str| match text.trim() {
            "" => Err(fail(SHAPE.into())),
            text => LabelValue::new(text).map_err(|error| fail(error.to_string())),
        };
        let test = match operator {
            "=" => LabelTest::Is(value(operand)?),
            "!=" => LabelTest::IsNot(value(operand)?),
            _ => LabelTest::In(operand.split(',').map(value).collect::<Result<_, _>>()?),
        };
        Ok(Self { label, test })
    }
}

impl fmt::Display for LabelConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.label, self.test)
    }
}

impl fmt::Display for LabelTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => write!(f, "= {value}"),
            Self::IsNot(value) => write!(f, "!= {value}"),
            Self::In(values) => {
                let values: Vec<&str> = values.iter().map(LabelValue::as_str).collect();
                write!(f, "in {}", values.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Ids;
    use crate::name::NodeName;
    use crate::noun::{NodeStatus, Stored, TeamId};
    use crate::revision::Revision;
    use crate::time::Timestamp;

    fn labels(zone: &str) -> BTreeMap<LabelKey, LabelValue> {
        BTreeMap::from([(LabelKey::new("zone").unwrap(), LabelValue::new(zone).unwrap())])
    }

    fn check(text: &str, holds_for: &[&str], fails_for: &[&str], without: bool) {
        let constraint: LabelConstraint = text.parse().unwrap();
        assert_eq!(constraint.to_string().parse(), Ok(constraint.clone()));
        assert!(holds_for.iter().all(|zone| constraint.holds(&labels(zone))), "{constraint}");
        assert!(!fails_for.iter().any(|zone| constraint.holds(&labels(zone))), "{constraint}");
        assert_eq!(constraint.holds(&BTreeMap::new()), without, "{constraint}");
    }

    #[test]
    fn constraints_are_words_and_ask_what_they_say() {
        check("zone = a", &["a"], &["b", "aa"], false);
        check("zone=a", &["a"], &["b"], false);
        check(" zone != a ", &["b"], &["a"], true);
        check("zone in a,b , c", &["a", "b", "c"], &["d"], false);
        for (bad, problem) in [
            ("zone", "write LABEL"),
            ("zone =", "write LABEL"),
            ("zone in a,,b", "write LABEL"),
            ("zone is a", "write LABEL"),
            ("-zone = a", "label key"),
            ("zone = a_", "label value"),
            ("disks >= 4", "label key"),
        ] {
            let error = bad.parse::<LabelConstraint>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        let field = |placement: Placement| placement.validate("p").map_err(|invalid| invalid.field);
        let constraint = |test| LabelConstraint { label: LabelKey::new("zone").unwrap(), test };
        let asks = |constraints| Placement { constraints, ..Placement::ANY };
        assert_eq!(field(asks(vec!["zone = a".parse().unwrap()])), Ok(()));
        assert_eq!(field(Placement { most_per_node: Some(0), ..Placement::ANY }), Err("p.most_per_node".into()));
        assert_eq!(field(asks(vec![constraint(LabelTest::In(vec![]))])), Err("p.constraints.0".into()));
        let empty = LabelTest::Is(LabelValue::new("").unwrap());
        assert_eq!(field(asks(vec!["zone = a".parse().unwrap(), constraint(empty)])), Err("p.constraints.1".into()));
        assert_eq!(field(asks(vec!["zone = a".parse().unwrap(); 21])), Err("p.constraints".into()));
    }

    #[test]
    fn what_no_node_can_be_is_refused_by_its_field() {
        let mut objects = Objects::default();
        let field = |objects: &Objects, texts: &[&str], spread: Option<&str>| {
            let constraints = texts.iter().map(|text| text.parse().unwrap()).collect();
            let spread = spread.map(|label| LabelKey::new(label).unwrap());
            let placement = Placement { constraints, spread, most_per_node: None };
            placement.check_nodes("p", objects).map_err(|invalid| invalid.field)
        };
        assert_eq!(field(&objects, &["rack = 1"], Some("rack")), Ok(()), "there is no node yet");
        let mut ids = Ids::seeded(1);
        for (name, zone) in [("n1", "a"), ("n2", "b")] {
            let (spec_version, status_version) = (Revision::ZERO, Revision::ZERO);
            let spec = Node { labels: labels(zone), ..Node::new(NodeName::new(name).unwrap()) };
            let (id, status) = (ids.next(Timestamp::EPOCH), NodeStatus::default());
            let (team, created_at) = (TeamId::SYSTEM, Timestamp::EPOCH);
            objects.insert(Stored { id, team, spec, status, spec_version, status_version, created_at }.into());
        }
        assert_eq!(field(&objects, &["zone = a", "zone != b"], Some("zone")), Ok(()));
        assert_eq!(field(&objects, &["zone = a", "rack = 1"], None), Err("p.constraints.1".into()));
        assert_eq!(field(&objects, &["zone in c, d"], None), Err("p.constraints.0".into()));
        assert_eq!(field(&objects, &["zone = a", "zone = b"], None), Err("p.constraints".into()));
        assert_eq!(field(&objects, &[], Some("rack")), Err("p.spread".into()));
    }
}
