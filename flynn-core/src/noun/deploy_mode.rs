use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::noun::Scale;
use crate::rule::{Invalid, check_span, check_text};

/// The order in which instances are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Start all instances of the new release, then stop all of the old.
    AllAtOnce,
    /// Start one, stop one, until all are replaced.
    OneByOne,
    /// Stop one, start one, until all are replaced: it takes no more room than there is.
    OneDownOneUp,
    /// Start so many, and stop as many when all of them are healthy, until all are replaced.
    InBatches {
        /// How many at a time.
        size: Share,
    },
    /// A driver outside the controller decides; the controller leaves the deployment alone.
    External {
        /// The driver's name.
        driver: String,
    },
}

/// A number of instances, or a share of those that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(u8),
}

impl Share {
    /// How many of `wanted` that is, a part of one counted as one.
    pub fn rounded_up(self, wanted: u32) -> u32 {
        self.of(wanted, 99)
    }

    /// How many of `wanted` that is, a part of one not counted.
    pub fn rounded_down(self, wanted: u32) -> u32 {
        self.of(wanted, 0)
    }

    fn of(self, wanted: u32, more: u64) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                u32::try_from((u64::from(wanted) * u64::from(percent) + more) / 100).unwrap_or(u32::MAX)
            }
        }
    }

    fn is_nothing(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }

    fn check(self, field: &str) -> Result<(), Invalid> {
        match self {
            Self::Percent(101..) => Err(Invalid::new(field, "at most 100 percent")),
            Self::Count(count) if count > Scale::MOST => {
                Err(Invalid::new(field, format!("{count} is more than the {} instances allowed", Scale::MOST)))
            }
            _ => Ok(()),
        }
    }
}

/// A text that is not a [`Share`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a number of instances such as 2 nor a share such as 25%")]
pub struct ShareError(String);

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(input: &str) -> Result<Self, ShareError> {
        let read = match input.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(Self::Percent),
            None => input.parse().ok().map(Self::Count),
        };
        // The input may be hostile: keep the message short and printable.
        read.ok_or_else(|| ShareError(input.chars().take(40).flat_map(char::escape_debug).collect()))
    }
}

/// `3`, or `25%`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The bounds and deadlines of a deployment and what follows a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployPolicy {
    /// An instance must be placed this long after it began to wait for a node, and up this long after it was placed.
    pub start_deadline: Duration,
    /// Some instance must come up, or the deployment end, within this time of the last such event.
    pub progress_deadline: Duration,
    /// An instance counts as healthy once it has been so for this long without a break.
    pub healthy_for: Duration,
    /// How many instances there may be beside the wanted number; what the strategy says if this says nothing.
    pub max_extra: Option<Share>,
    /// How many of the wanted number may be missing; what the strategy says if this says nothing.
    pub max_missing: Option<Share>,
    /// What follows a failure.
    pub on_failure: OnFailure,
}

impl Default for DeployPolicy {
    fn default() -> Self {
        Self {
            start_deadline: Duration::from_secs(60),
            progress_deadline: Duration::from_secs(600),
            healthy_for: Duration::ZERO,
            max_extra: None,
            max_missing: None,
            on_failure: OnFailure::RollBack,
        }
    }
}

/// What a deployment does when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Go back to the old release.
    RollBack,
    /// Stay as it is and wait for a person: what is intended becomes `Pause`.
    Pause,
    /// Stay as it is and end.
    Keep,
}

const DAY: Duration = Duration::from_secs(86_400);

/// How the deployments of an app go, where it is not as usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployMode {
    /// How instances are replaced.
    pub strategy: Strategy,
    /// What deployments must keep to.
    pub policy: DeployPolicy,
}

impl DeployMode {
    /// Whether this is possible; `prefix` stands before the names of the fields.
    pub(crate) fn check(prefix: &str, strategy: &Strategy, policy: &DeployPolicy) -> Result<(), Invalid> {
        check(strategy, policy).map_err(|invalid| Invalid { field: format!("{prefix}{}", invalid.field), ..invalid })
    }
}

fn check(strategy: &Strategy, policy: &DeployPolicy) -> Result<(), Invalid> {
    if let Strategy::External { driver } = strategy {
        check_text("strategy.driver", driver, 128)?;
    }
    for (field, span) in [("start_deadline", policy.start_deadline), ("progress_deadline", policy.progress_deadline)] {
        check_span(format!("policy.{field}"), span, Duration::from_secs(1), DAY)?;
    }
    check_span("policy.healthy_for".to_owned(), policy.healthy_for, Duration::ZERO, DAY)?;
    if policy.healthy_for >= policy.progress_deadline {
        let problem = "nothing would progress in time: use less than the progress deadline";
        return Err(Invalid::new("policy.healthy_for", problem));
    }
    check_bounds(strategy, policy)
}

fn check_bounds(strategy: &Strategy, policy: &DeployPolicy) -> Result<(), Invalid> {
    let DeployPolicy { max_extra, max_missing, .. } = *policy;
    let (extra, missing) = match strategy {
        Strategy::OneByOne => (Share::Count(1), Share::Count(0)),
        Strategy::OneDownOneUp => (Share::Count(0), Share::Count(1)),
        Strategy::InBatches { size } => {
            size.check("strategy.size")?;
            if size.is_nothing() {
                return Err(Invalid::new("strategy.size", "a batch has at least one instance"));
            }
            (*size, Share::Count(0))
        }
        Strategy::AllAtOnce | Strategy::External { .. } => {
            let set = [("max_extra", max_extra), ("max_missing", max_missing)].into_iter();
            let set = set.filter(|(_, share)| share.is_some()).map(|(field, _)| format!("policy.{field}"));
            let refused = |field| Invalid::new(field, "this strategy does not replace instances in groups");
            return set.map(refused).next().map_or(Ok(()), Err);
        }
    };
    let (extra, missing) = (max_extra.unwrap_or(extra), max_missing.unwrap_or(missing));
    extra.check("policy.max_extra")?;
    missing.check("policy.max_missing")?;
    if extra.is_nothing() && missing.is_nothing() {
        let problem = "with none beside the wanted and none missing, none could be replaced";
        return Err(Invalid::new("policy.max_missing", problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_numbers_or_percentages() {
        for (text, share) in [("3", Share::Count(3)), ("25%", Share::Percent(25)), ("0", Share::Count(0))] {
            assert_eq!(text.parse(), Ok(share));
            assert_eq!(share.to_string(), text);
        }
        for bad in ["", "%", "-1", "101%", "2.5", "a"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
        let quarter = Share::Percent(25);
        assert_eq!([1, 4, 5].map(|wanted| quarter.rounded_up(wanted)), [1, 1, 2]);
        assert_eq!([1, 4, 5].map(|wanted| quarter.rounded_down(wanted)), [0, 1, 1]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        let field = |strategy: Strategy, policy: DeployPolicy| {
            DeployMode::check("d.", &strategy, &policy).map_err(|invalid| invalid.field)
        };
        let usual = DeployPolicy::default;
        let batches = |size| Strategy::InBatches { size };
        let (none, one) = (Some(Share::Count(0)), Some(Share::Count(1)));
        for strategy in [Strategy::OneByOne, Strategy::OneDownOneUp, Strategy::AllAtOnce, batches(Share::Percent(1))] {
            assert_eq!(field(strategy, usual()), Ok(()));
        }
        assert_eq!(field(Strategy::OneByOne, DeployPolicy { max_extra: none, max_missing: one, ..usual() }), Ok(()));
        for (strategy, policy, expect) in [
            (batches(Share::Count(0)), usual(), "d.strategy.size"),
            (batches(Share::Percent(101)), usual(), "d.strategy.size"),
            (batches(Share::Count(10_001)), usual(), "d.strategy.size"),
            (Strategy::OneByOne, DeployPolicy { max_extra: none, ..usual() }, "d.policy.max_missing"),
            (Strategy::OneDownOneUp, DeployPolicy { max_missing: none, ..usual() }, "d.policy.max_missing"),
            (Strategy::AllAtOnce, DeployPolicy { max_missing: one, ..usual() }, "d.policy.max_missing"),
            (
                Strategy::OneByOne,
                DeployPolicy { healthy_for: Duration::from_secs(600), ..usual() },
                "d.policy.healthy_for",
            ),
            (Strategy::OneByOne, DeployPolicy { start_deadline: Duration::ZERO, ..usual() }, "d.policy.start_deadline"),
        ] {
            assert_eq!(field(strategy, policy), Err(expect.into()));
        }
    }
}
