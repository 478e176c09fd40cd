use std::sync::Arc;

use tokio::time::Instant;

use super::Failure;
use super::handler::Shared;
use super::link::Serving;
use crate::access::AccessRecord;

/// What is written down of one request, from its head to its end. Dropped without an end, it says that the
/// client went away.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    pub(crate) record: Box<AccessRecord>,
    began: Instant,
    ended: bool,
    serving: Option<Serving>,
}

impl Journal {
    pub(crate) fn begin(shared: Arc<Shared>, record: AccessRecord, serving: Option<Serving>) -> Self {
        Self { shared, record: Box::new(record), began: Instant::now(), ended: false, serving }
    }

    /// What went wrong on the client's connection, if something did.
    pub(crate) fn spoiled(&self) -> Option<Failure> {
        self.serving.as_ref()?.link().spoiled()
    }

    /// Lets go of the client's connection, which something else takes over.
    pub(crate) fn detach(&mut self) -> Option<Serving> {
        self.serving.take()
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// The answer has ended, well or not.
    pub(crate) fn end(&mut self, failure: Option<Failure>) {
        self.end_at(Instant::now(), failure);
    }

    /// The answer has ended at this moment.
    pub(crate) fn end_at(&mut self, now: Instant, failure: Option<Failure>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.record.failure = self.record.failure.or(failure);
        self.record.service = now.saturating_duration_since(self.began);
        self.shared.write_down(&self.record);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.ended {
            let failure = self.spoiled().unwrap_or(Failure::ClientClosed);
            if self.record.status == 0 {
                self.record.status = failure.status().unwrap_or_default();
            }
            self.end(Some(failure));
        }
    }
}
