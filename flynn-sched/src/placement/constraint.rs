use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use flynn_core::name::{LabelKey, LabelValue};
use flynn_core::noun::{LabelConstraint, LabelConstraintError, LabelTest};
use regex::bytes::{Regex, RegexBuilder};

/// What one label of a node must be like. As text:
///
/// | Text | Holds when the label |
/// |---|---|
/// | `zone = eu-1` | has this value |
/// | `zone != eu-1` | has another value or is missing |
/// | `zone in eu-1, eu-2` | has one of these values |
/// | `zone ~ eu-[0-9]+` | matches the whole expression |
/// | `disks >= 4` | is a number, and it compares like this: `<`, `<=`, `>`, `>=` |
/// | `kernel version >= 6.10` | is a version, and it compares like this: `<`, `<=`, `>`, `>=`, `=` |
/// | `ssd exists` | is there |
///
/// ```
/// use flynn_sched::placement::Constraint;
///
/// let constraint: Constraint = "kernel version >= 6.10".parse()?;
/// assert_eq!(constraint.to_string(), "kernel version >= 6.10");
/// assert!("kernel version >= new".parse::<Constraint>().is_err());
/// # Ok::<(), flynn_sched::placement::ConstraintError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constraint {
    label: LabelKey,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Test {
    Value(LabelTest),
    Matches(Pattern),
    Number(Relation, i64),
    Version(Relation, Version),
    Exists,
}

/// An expression that was compiled, known by its text.
#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    compiled: Arc<Regex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Relation {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

/// A text that is not a [`Constraint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// It should compare a label with values.
    #[error(transparent)]
    Value(#[from] LabelConstraintError),
    /// Anything else.
    #[error("`{input}` is not a constraint: {problem}")]
    Other {
        /// The beginning of the text.
        input: String,
        /// What is wrong with it and what would be right.
        problem: String,
    },
}

impl From<LabelConstraint> for Constraint {
    fn from(LabelConstraint { label, test }: LabelConstraint) -> Self {
        Self { label, test: Test::Value(test) }
    }
}

impl Constraint {
    /// The label that is asked about.
    pub fn label(&self) -> &LabelKey {
        &self.label
    }

    /// Whether a node with these labels is as it must be.
    pub fn holds(&self, labels: &BTreeMap<LabelKey, LabelValue>) -> bool {
        let value = labels.get(&self.label);
        let text = value.map(LabelValue::as_str);
        match &self.test {
            Test::Value(test) => test.holds(value),
            Test::Matches(pattern) => text.is_some_and(|text| pattern.compiled.is_match(text.as_bytes())),
            Test::Number(relation, limit) => {
                text.and_then(|text| text.parse::<i64>().ok()).is_some_and(|number| relation.holds(number.cmp(limit)))
            }
            Test::Version(relation, limit) => {
                text.and_then(Version::parse).is_some_and(|version| relation.holds(version.cmp(limit)))
            }
            Test::Exists => value.is_some(),
        }
    }
}

impl FromStr for Constraint {
    type Err = ConstraintError;

    fn from_str(input: &str) -> Result<Self, ConstraintError> {
        const SHAPE: &str =
            "write LABEL, then =, !=, in, ~, <, <=, >, >=, version or exists, then what it is compared with";
        let fail = |problem: String| ConstraintError::Other { input: input.chars().take(200).collect(), problem };
        let (label, rest) = input.trim().split_once(' ').ok_or_else(|| fail(SHAPE.into()))?;
        let label = LabelKey::new(label).map_err(|error| fail(error.to_string()))?;
        let (operator, operand) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let operand = operand.trim();
        let test = match (operator, operand) {
            ("exists", "") => Test::Exists,
            (_, "") => return Err(fail(SHAPE.into())),
            ("=" | "!=" | "in", _) => {
                return input.parse().map(LabelConstraint::into).map_err(ConstraintError::Value);
            }
            ("~", text) => Test::Matches(Pattern::new(text).map_err(fail)?),
            ("version", comparison) => {
                let (relation, text) = comparison.split_once(' ').ok_or_else(|| fail(SHAPE.into()))?;
                let relation = Relation::parse(relation).ok_or_else(|| fail(SHAPE.into()))?;
                let problem = "a version is 1 to 4 numbers with dots between them, such as 6.10 or v1.2.3-rc1";
                Test::Version(relation, Version::parse(text.trim()).ok_or_else(|| fail(problem.into()))?)
            }
            (relation, text) => {
                let relation = Relation::parse(relation).filter(|relation| *relation != Relation::Equal);
                let relation = relation.ok_or_else(|| fail(SHAPE.into()))?;
                Test::Number(relation, text.parse().map_err(|_| fail(format!("`{text}` is not a whole number")))?)
            }
        };
        Ok(Self { label, test })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.label)?;
        match &self.test {
            Test::Value(test) => write!(f, "{test}"),
            Test::Matches(pattern) => write!(f, "~ {}", pattern.text),
            Test::Number(relation, limit) => write!(f, "{relation} {limit}"),
            Test::Version(relation, limit) => write!(f, "version {relation} {limit}"),
            Test::Exists => f.write_str("exists"),
        }
    }
}

impl Relation {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<" => Self::Less,
            "<=" => Self::AtMost,
            "=" => Self::Equal,
            ">=" => Self::AtLeast,
            ">" => Self::More,
            _ => return None,
        })
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::Equal => ordering.is_eq(),
            Self::AtLeast => ordering.is_ge(),
            Self::More => ordering.is_gt(),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::More => ">",
        })
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        // Labels are ASCII, and an expression comes from whoever wrote the app.
        let whole = format!("^(?:{text})$");
        let compiled = RegexBuilder::new(&whole).unicode(false).size_limit(64 << 10).build();
        let compiled = compiled.map_err(|error| format!("its expression cannot be used: {error}"))?;
        Ok(Self { text: text.to_owned(), compiled: Arc::new(compiled) })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Numbers with dots between them. A missing number is 0, and what has a suffix after a dash comes before what has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Version {
    numbers: [u64; 4],
    /// Without a suffix is the greatest.
    suffix: Suffix,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Suffix {
    Some(String),
    None,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (dotted, suffix) = match text.split_once('-') {
            Some((dotted, suffix)) => (dotted, Suffix::Some(suffix.to_owned())),
            None => (text, Suffix::None),
        };
        let mut numbers = [0; 4];
        for (index, part) in dotted.split('.').enumerate() {
            let is_number = part.bytes().all(|b| b.is_ascii_digit());
            *numbers.get_mut(index)? = part.parse().ok().filter(|_| is_number)?;
        }
        Some(Self { numbers, suffix })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.numbers.iter().rposition(|number| *number > 0).map_or(1, |last| last + 1).max(2);
        let numbers: Vec<String> = self.numbers[..length].iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))?;
        match &self.suffix {
            Suffix::Some(suffix) => write!(f, "-{suffix}"),
            Suffix::None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(constraint: &str, holds_for: &[&str], fails_for: &[&str]) {
        let constraint: Constraint = constraint.parse().unwrap();
        let labels = |value: &&str| BTreeMap::from([(LabelKey::new("l").unwrap(), LabelValue::new(value).unwrap())]);
        for value in holds_for {
            assert!(constraint.holds(&labels(value)), "{constraint} should hold for {value}");
        }
        for value in fails_for {
            assert!(!constraint.holds(&labels(value)), "{constraint} should not hold for {value}");
        }
        let missing = matches!(constraint.test, Test::Value(LabelTest::IsNot(_)));
        assert_eq!(constraint.holds(&BTreeMap::new()), missing, "{constraint} without the label");
        assert_eq!(constraint.to_string().parse::<Constraint>().unwrap(), constraint);
    }

    #[test]
    fn each_operator_asks_what_it_says() {
        check("l = a", &["a"], &["b", "aa"]);
        check("l != a", &["b", "aa"], &["a"]);
        check("l in a, b,c", &["a", "b", "c"], &["d"]);
        check("l ~ eu-[0-9]+", &["eu-1", "eu-23"], &["eu", "xeu-1", "eu-1x"]);
        check("l ~ a|b", &["a", "b"], &["ab", "ax"]);
        check("l >= 10", &["10", "11"], &["9", "x", "1e1"]);
        check("l < 2", &["1", "0"], &["2", "10"]);
        check("l exists", &["", "a"], &[]);
    }

    #[test]
    fn versions_compare_number_by_number() {
        check(
            "l version >= 6.10",
            &["6.10", "6.10.0", "v6.11", "7", "6.10.1-rc1"],
            &["6.9", "6.2.99", "6.10-rc1", "x"],
        );
        check("l version < 1.2.3", &["1.2", "1.2.3-beta"], &["1.2.3", "1.10"]);
        check("l version = 1.2", &["1.2.0", "v1.2"], &["1.2.1"]);
        assert_eq!(Version::parse("1.2.3.4.5"), None);
        assert_eq!(Version::parse("1..2"), None);
        assert_eq!(Version::parse("+1"), None);
    }

    #[test]
    fn what_is_no_constraint_says_why() {
        let check = |input: &str, problem: &str| {
            let error = input.parse::<Constraint>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        };
        check("zone", "write LABEL");
        check("zone = ", "write LABEL");
        check("zone is eu", "write LABEL");
        check("-zone = eu", "label key");
        check("zone = a_", "label value");
        check("disks > many", "whole number");
        check("kernel version > new", "a version is");
        check("zone ~ (", "cannot be used");
        check("zone ~ (a{1000}){1000}", "cannot be used");
    }
}
