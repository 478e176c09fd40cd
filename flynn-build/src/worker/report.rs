//! What the store is told of a build.

use std::error::Error;
use std::fmt;

use flynn_core::noun::{BuildOutput, BuildState};

use crate::builder::{Artifact, BuildError};

/// The most bytes of a reason.
const MOST_REASON: usize = 8 << 10;
const MOST_STEP: usize = 200;

/// How a build ended.
pub(super) fn state(outcome: Result<Artifact, BuildError>) -> BuildState {
    match outcome {
        Ok(Artifact { image, processes, .. }) => BuildState::Succeeded(BuildOutput { image, processes }),
        Err(error) => {
            let reason = match &error {
                BuildError::Failed { reason, .. } => reason.clone(),
                BuildError::TimedOut { limit, .. } => {
                    format!("the build was stopped, since it took longer than {} s", limit.as_secs())
                }
                BuildError::Unavailable { source, .. } => {
                    format!("the platform could not do this, and deploying again may help: {}", chain(&**source))
                }
            };
            failed(error.step(), &reason)
        }
    }
}

/// A failure in words that a store takes.
pub(super) fn failed(step: &str, reason: &str) -> BuildState {
    let step = step.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    BuildState::Failed { step: cut(&step, MOST_STEP).to_owned(), reason: cut(reason, MOST_REASON).to_owned() }
}

/// The beginning of `text`, at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// An error and all its causes, on one line.
pub(super) fn chain(error: &dyn Error) -> impl fmt::Display {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_to_what_a_store_takes() {
        assert_eq!(cut("abc", 5), "abc");
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("aé", 2), "a");
        let BuildState::Failed { step, reason } = failed("a\nb", &"é".repeat(10_000)) else { panic!() };
        assert_eq!(step, "a b");
        assert!(reason.len() <= MOST_REASON && reason.len() > MOST_REASON - 4);
    }

    #[test]
    fn causes_are_told() {
        let cause = std::io::Error::other("disk full");
        let error = BuildError::unavailable("store source", cause);
        let BuildState::Failed { step, reason } = state(Err(error)) else { panic!() };
        assert_eq!(step, "store source");
        assert!(reason.ends_with("disk full"), "{reason}");
    }
}
