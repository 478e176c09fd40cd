use std::io::Read;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flynn_build::git::{Push, PushHandler, PushOutput, Rejection, Released};
use flynn_build::source::Entry;
use tokio::sync::Semaphore;

/// A handler that does what the file `deploy` of the pushed tree says, a step a line: `say TEXT`, `wait` for the gate
/// of the test, `fail REASON`.
pub(crate) struct Scripted {
    /// A permit lets one `wait` pass.
    pub(crate) gate: Semaphore,
    pub(crate) pushes: Mutex<Vec<Push>>,
    pub(crate) finished: Mutex<usize>,
}

impl Scripted {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { gate: Semaphore::new(0), pushes: Mutex::default(), finished: Mutex::default() })
    }

    pub(crate) fn pushes(&self) -> Vec<Push> {
        self.pushes.lock().unwrap().clone()
    }

    pub(crate) fn finished(&self) -> usize {
        *self.finished.lock().unwrap()
    }
}

#[async_trait]
impl PushHandler for Scripted {
    async fn receive(&self, push: Push, output: &dyn PushOutput) -> Result<Released, Rejection> {
        self.pushes.lock().unwrap().push(push.clone());
        let mut script = String::new();
        if let Some(Entry::File { content, .. }) = push.source.get("deploy") {
            push.source.open(*content).read_to_string(&mut script).unwrap();
        }
        let mut outcome = Ok(Released { summary: format!("released {}", push.commit) });
        for line in script.lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("say", text) => output.line(text).await,
                ("wait", _) => self.gate.acquire().await.unwrap().forget(),
                ("fail", reason) => outcome = Err(Rejection::new(reason)),
                _ => panic!("not a step: {line}"),
            }
        }
        *self.finished.lock().unwrap() += 1;
        outcome
    }
}
