use std::sync::Arc;
use std::time::Duration;

use flynn_core::JobId;
use flynn_core::noun::{Job, Stored};
use flynn_core::port::{Runtime, RuntimeError, Signal};

use super::workplace::{Workplace, WorkplaceError};
use crate::logs::Logs;

/// An image that took longer would not come at all.
const PREPARATION_LIMIT: Duration = Duration::from_secs(10 * 60);

/// An operation on one job that takes its time.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// With so many bytes of the disk to be kept free.
    Prepare(Arc<Stored<Job>>, u64),
    Start,
    Signal(Signal),
    Clear,
}

/// Why it was not done.
#[derive(Debug)]
pub(super) struct Failure {
    /// In words for the app's developer.
    pub(super) reason: String,
    /// Whether it would fail again however often it were tried.
    pub(super) is_lasting: bool,
}

/// What operations work with.
pub(super) struct Tools<R> {
    pub(super) runtime: Arc<R>,
    pub(super) workplace: Arc<dyn Workplace>,
    pub(super) logs: Arc<Logs>,
}

impl<R> Clone for Tools<R> {
    fn clone(&self) -> Self {
        Self { runtime: self.runtime.clone(), workplace: self.workplace.clone(), logs: self.logs.clone() }
    }
}

impl<R: Runtime> Tools<R> {
    pub(super) async fn carry_out(&self, job: JobId, operation: Operation) -> Result<(), Failure> {
        match operation {
            Operation::Prepare(stored, reserve) => {
                limited(PREPARATION_LIMIT, self.prepare(job, &stored, reserve)).await
            }
            Operation::Start => match self.runtime.start(job).await {
                // Where it ended by that, its exit says why. Where not, it is tried again.
                Err(RuntimeError::Failed { source, .. }) => Err(Failure { reason: chain(&*source), is_lasting: false }),
                other => Ok(other?),
            },
            Operation::Signal(signal) => Ok(self.runtime.signal(job, signal).await?),
            Operation::Clear => {
                self.logs.end(job).await.map_err(|error| Failure::passing("its log cannot be put aside", &error))?;
                self.runtime.remove(job).await?;
                Ok(self.workplace.release(job).await?)
            }
        }
    }
}

impl<R: Runtime> Tools<R> {
    async fn prepare(&self, job: JobId, stored: &Stored<Job>, reserve: u64) -> Result<(), Failure> {
        let space = self.workplace.space().await?;
        if let Some(shortage) = space.and_then(|space| space.shortage(reserve)) {
            let reason = format!("the disk of its node is full: {shortage}");
            return Err(Failure { reason, is_lasting: false });
        }
        self.logs.begin(stored).await.map_err(|error| Failure::passing("its log cannot be written", &error))?;
        let spec = self.workplace.prepare(stored).await?;
        Ok(self.runtime.create(job, spec).await?)
    }
}

/// What is dropped by that leaves only what a `Clear` takes away.
async fn limited(limit: Duration, preparation: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::time::timeout(limit, preparation).await.unwrap_or_else(|_| {
        let reason = format!(
            "it was not ready to start within {} minutes: its image is too large, or the node cannot fetch it",
            limit.as_secs() / 60
        );
        Err(Failure { reason, is_lasting: true })
    })
}

impl Failure {
    fn passing(what: &str, error: &dyn std::error::Error) -> Self {
        Self { reason: format!("{what}: {}", chain(error)), is_lasting: false }
    }
}

impl From<WorkplaceError> for Failure {
    fn from(error: WorkplaceError) -> Self {
        Self { reason: chain(&error), is_lasting: matches!(error, WorkplaceError::Refused { .. }) }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        let is_lasting = matches!(error, RuntimeError::Invalid { .. } | RuntimeError::Failed { .. });
        let reason = match &error {
            // Who reads it knows what was tried: to run the program.
            RuntimeError::Failed { source, .. } => chain(&**source),
            error => chain(error),
        };
        Self { reason, is_lasting }
    }
}

/// More than anybody reads, and less than a store takes.
const MOST_REASON: usize = 4 << 10;

/// An error and its causes on one line of bounded length.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some libraries repeat the cause in the error above it.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text.truncate(text.floor_char_boundary(MOST_REASON));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_preparation_that_does_not_end_is_given_up_for_good() {
        let failure = limited(Duration::from_millis(1), std::future::pending()).await.err();
        assert!(failure.is_some_and(|failure| failure.is_lasting));
        assert!(limited(PREPARATION_LIMIT, async { Ok(()) }).await.is_ok());
    }
}
