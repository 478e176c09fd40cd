use std::num::NonZeroU32;

use flynn_core::noun::Health;

/// What one probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The instance answered as it should.
    Passed,
    /// It did not.
    Failed,
}

/// Turns the outcomes of probes into a health. It is a plain value: the same outcomes give the same health.
///
/// An instance has no health before its first pass, however often it fails: it may still be starting. From
/// then on a single pass makes it healthy, and as many failures in a row as the threshold says make it
/// unhealthy.
///
/// ```
/// use std::num::NonZeroU32;
/// use flynn_core::noun::Health;
/// use flynn_runtime::health::{Outcome, Tally};
///
/// let mut tally = Tally::new(NonZeroU32::MIN);
/// assert_eq!(tally.add(Outcome::Failed), None);
/// assert_eq!(tally.add(Outcome::Passed), Some(Health::Healthy));
/// assert_eq!(tally.add(Outcome::Failed), Some(Health::Unhealthy));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    threshold: NonZeroU32,
    failures: u32,
    health: Option<Health>,
}

impl Tally {
    /// No probe has been made yet. `threshold` is the number of failures in a row that count.
    pub fn new(threshold: NonZeroU32) -> Self {
        Self::resume(threshold, None)
    }

    /// The health was this before the first of the probes that count here.
    pub fn resume(threshold: NonZeroU32, health: Option<Health>) -> Self {
        Self { threshold, failures: 0, health }
    }

    /// Takes an outcome in, and gives the health after it.
    pub fn add(&mut self, outcome: Outcome) -> Option<Health> {
        match outcome {
            Outcome::Passed => {
                self.failures = 0;
                self.health = Some(Health::Healthy);
            }
            Outcome::Failed => {
                self.failures = self.failures.saturating_add(1);
                if self.health.is_some() && self.failures >= self.threshold.get() {
                    self.health = Some(Health::Unhealthy);
                }
            }
        }
        self.health
    }

    /// The health after the last outcome; none before the first pass.
    pub fn health(&self) -> Option<Health> {
        self.health
    }

    /// How many probes have failed since the last that passed.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The health depends on nothing but whether there was a pass and how many failures followed the last.
        #[test]
        fn health_follows_from_the_failures_since_the_last_pass(
            threshold in 1_u32..5,
            passed in prop::collection::vec(any::<bool>(), 0..40),
        ) {
            let mut tally = Tally::new(NonZeroU32::new(threshold).unwrap());
            for (index, pass) in passed.iter().enumerate() {
                let health = tally.add(if *pass { Outcome::Passed } else { Outcome::Failed });
                let since = passed[..=index].iter().rev().take_while(|pass| !**pass).count();
                let expected = match since {
                    all if all > index => None,
                    few if few < threshold as usize => Some(Health::Healthy),
                    _ => Some(Health::Unhealthy),
                };
                prop_assert_eq!(health, expected);
                prop_assert_eq!(tally.health(), expected);
                prop_assert_eq!(tally.failures() as usize, since);
            }
        }
    }
}
