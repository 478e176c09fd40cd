use std::sync::Arc;

use futures::stream;
use reqwest::Method;
use tokio::time::{Instant, timeout};

use super::call::{Caller, Fault};
use super::lines::Lines;
use crate::error::StoreError;
use crate::port::{Commit, Tail, TailError};
use crate::revision::Revision;
use crate::scope::Scope;
use crate::time::Timestamp;
use crate::wire::Text;
use crate::wire::peer::Line;

/// Follows the log of a server. Nothing is sent before the first commit is asked for.
pub(super) fn tail(caller: Arc<Caller>, scope: Scope, after: Revision) -> Tail {
    let reader = Reader { caller, scope, after, lines: None };
    Box::pin(stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(commit) => Some((Ok(commit), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

struct Reader {
    caller: Arc<Caller>,
    scope: Scope,
    after: Revision,
    lines: Option<Lines>,
}

impl Reader {
    async fn next(&mut self) -> Result<Commit, TailError> {
        loop {
            match self.line().await? {
                Line::Commit { revision, at, events } => return self.commit(revision, at, events).await,
                Line::End(error) => return Err(error),
                Line::Beat | Line::Later(_) => {}
                Line::Snapshot { .. } | Line::Event(_) | Line::Opaque(_) => return Err(self.disorder()),
            }
        }
    }

    async fn commit(&mut self, revision: Revision, at: Timestamp, events: u64) -> Result<Commit, TailError> {
        if revision <= self.after {
            return Err(self.disorder());
        }
        let mut commit = Commit { revision, at, events: Vec::new() };
        for _ in 0..events {
            match self.line().await? {
                Line::Event(event) => commit.events.push(event),
                Line::Opaque(problem) => self.caller.pass_over(&problem),
                Line::Later(word) => self.caller.pass_over(&format!("events that are {word:?} are unknown")),
                Line::End(error) => return Err(error),
                Line::Snapshot { .. } | Line::Commit { .. } | Line::Beat => return Err(self.disorder()),
            }
        }
        self.after = revision;
        Ok(commit)
    }

    async fn line(&mut self) -> Result<Line, TailError> {
        let patience = self.caller.options.patience;
        let lines = match &mut self.lines {
            Some(lines) => lines,
            none => none.insert(open(&self.caller, self.scope, self.after).await?),
        };
        match timeout(patience, lines.next()).await {
            Ok(line) => line.map_err(broken),
            Err(_) => Err(broken(Fault::Lost(self.caller.trouble(format!("was silent for {patience:?}"))))),
        }
    }

    fn disorder(&self) -> TailError {
        broken(Fault::Lost(self.caller.trouble("sent its lines out of order")))
    }
}

async fn open(caller: &Arc<Caller>, scope: Scope, after: Revision) -> Result<Lines, TailError> {
    let path = format!("tail?scope={}&after={after}", scope.encode());
    let deadline = Instant::now() + caller.options.deadline;
    let opened = caller.until(deadline, caller.open(Method::GET, &path, None)).await;
    opened.map(|response| Lines::new(caller.clone(), response)).map_err(broken)
}

fn broken(fault: Fault) -> TailError {
    match fault {
        Fault::Broken(trouble) | Fault::Lost(trouble) => TailError::Unavailable(trouble.into()),
        Fault::Refused(problem) => match problem.into_error("tail") {
            StoreError::NotAllowed { denial, .. } => TailError::NotAllowed(denial),
            error => TailError::Unavailable(error.into()),
        },
    }
}
