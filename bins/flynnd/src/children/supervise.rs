use std::process::ExitStatus;
use std::time::Duration;

use flynn_instance::Record;
use tokio::time::{Instant, sleep};

use super::Child;
use crate::closing::Closing;

/// The wait before the second start in a row; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// A node that is away for ten seconds is lost, and its jobs with it.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// A process that ran this long starts a new count.
const STABLE: Duration = Duration::from_secs(30);
/// How often a process that this one did not start is looked at.
const OFTEN: Duration = Duration::from_millis(200);
/// How long a process that is replaced has to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// Keeps one process of `child` running until the end of service, which the process outlives. One that
/// runs already is kept, unless `replace` says that an outdated one is to be replaced.
pub(crate) async fn supervise(child: Child, replace: bool, closing: Closing) {
    tokio::select! {
        () = keep(&child, replace) => {}
        () = closing.begun() => {}
    }
}

async fn keep(child: &Child, mut replace: bool) {
    let mut wait = Duration::ZERO;
    loop {
        let began = Instant::now();
        let outcome = match child.running() {
            Ok(Some(record)) => adopt(child, &record, std::mem::take(&mut replace)).await.map(|()| None),
            Ok(None) => run(child).await.map(Some),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(status) => {
                let status = status.map(tracing::field::display);
                tracing::warn!(status, log = %child.log().display(), "{} ended, starting it again", child.name());
            }
            Err(error) => tracing::error!(%error, "{} cannot be started, trying again", child.name()),
        }
        wait = match began.elapsed() >= STABLE {
            true => FIRST_WAIT,
            false => LONGEST_WAIT.min(wait * 2).max(FIRST_WAIT),
        };
        sleep(wait).await;
    }
}

async fn run(child: &Child) -> std::io::Result<ExitStatus> {
    let mut process = child.start()?;
    tracing::info!(pid = process.id(), "{} started", child.name());
    process.wait().await
}

/// Watches a process that an earlier control plane started.
async fn adopt(child: &Child, record: &Record, replace: bool) -> std::io::Result<()> {
    let pid = record.identity.process.pid;
    match child.outdated(record) {
        Some(why) if replace => {
            tracing::info!(pid, why, "{} is replaced", child.name());
            record.identity.end(PATIENCE).await.map(drop)
        }
        outdated => {
            match outdated {
                Some(why) => {
                    tracing::warn!(pid, why, "{} runs on as it is: replace it with --restart-children", child.name())
                }
                None => tracing::info!(pid, "{} runs already", child.name()),
            }
            record.identity.ended(OFTEN).await
        }
    }
}
