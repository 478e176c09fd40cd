use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::port::Blobs;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, interval_at};

use super::{Base, BaseError, BaseImage, BaseImages, BaseKind, BaseState, MakeError};

/// The time between two words to somebody who waits.
const WORD_EVERY: Duration = Duration::from_secs(10);

/// The base images of a machine. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Bases {
    shared: Arc<Shared>,
}

/// What the handles and the driver share.
pub(super) struct Shared {
    states: [watch::Sender<BaseState>; 2],
    pub(super) wanted: Notify,
    pub(super) blobs: Arc<dyn Blobs>,
}

impl Bases {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What is known of an image at this moment.
    pub fn state(&self, kind: BaseKind) -> BaseState {
        self.shared.state(kind).borrow().clone()
    }

    /// The image, as soon as it is there. What failed before is tried again for this. While it waits it says so to
    /// `progress`: once at the beginning and every ten seconds.
    ///
    /// # Errors
    /// Why it could not be made; `Stopped` if the driver has ended.
    pub async fn wait(&self, kind: BaseKind, mut progress: impl FnMut(String) + Send) -> Result<Base, Arc<MakeError>> {
        let sender = self.shared.state(kind);
        let mut states = sender.subscribe();
        self.shared.reconsider(kind, |state| matches!(state, BaseState::Failed(_)));
        let begun = Instant::now();
        let mut words = interval_at(begun, WORD_EVERY);
        loop {
            let state = states.borrow_and_update().clone();
            match &state {
                BaseState::Ready(base) if self.is_there(base).await? => return Ok(base.clone()),
                BaseState::Ready(lost) => {
                    self.shared.reconsider(kind, |state| matches!(state, BaseState::Ready(base) if base == lost));
                    continue;
                }
                BaseState::Failed(error) => return Err(error.clone()),
                BaseState::Stopped => return Err(Arc::new(MakeError::Stopped)),
                BaseState::Waiting | BaseState::Making { .. } => {}
            }
            tokio::select! {
                changed = states.changed() => changed.map_err(|_| MakeError::Stopped)?,
                _ = words.tick() => progress(word(kind, &state, begun.elapsed())),
            }
        }
    }

    /// The image, as soon as there is one that is not `known`; none if the driver has ended.
    pub async fn next(&self, kind: BaseKind, known: Option<&Base>) -> Option<Base> {
        let mut states = self.shared.state(kind).subscribe();
        let other = |state: &BaseState| match state {
            BaseState::Ready(base) => Some(base) != known,
            BaseState::Stopped => true,
            _ => false,
        };
        match &*states.wait_for(other).await.ok()? {
            BaseState::Ready(base) => Some(base.clone()),
            _ => None,
        }
    }

    async fn is_there(&self, base: &Base) -> Result<bool, MakeError> {
        let found = self.shared.blobs.stat(base.layer).await.map_err(MakeError::blobs("find base image"))?;
        Ok(found.is_some())
    }
}

#[async_trait]
impl BaseImages for Bases {
    async fn ensure(&self, kind: BaseKind) -> Result<BaseImage, BaseError> {
        let base = self.wait(kind, drop).await;
        base.map(|base| base.image()).map_err(|error| BaseError::Unavailable { kind, source: error.into() })
    }

    fn progress(&self, kind: BaseKind) -> Option<String> {
        match self.state(kind) {
            BaseState::Making { step } => Some(step),
            _ => None,
        }
    }
}

fn word(kind: BaseKind, state: &BaseState, waited: Duration) -> String {
    let step = match state {
        BaseState::Making { step } => format!(" ({step})"),
        _ => String::new(),
    };
    match waited.as_secs() {
        0 => format!("waiting for the {} base image, which takes minutes the first time{step}", kind.as_str()),
        seconds => format!("waiting for the {} base image: {seconds} s so far{step}", kind.as_str()),
    }
}

impl Shared {
    pub(super) fn new(blobs: Arc<dyn Blobs>) -> Self {
        let waiting = || watch::Sender::new(BaseState::Waiting);
        Self { states: [waiting(), waiting()], wanted: Notify::new(), blobs }
    }

    pub(super) fn state(&self, kind: BaseKind) -> &watch::Sender<BaseState> {
        let [run, build] = &self.states;
        match kind {
            BaseKind::Run => run,
            BaseKind::Build => build,
        }
    }

    /// Has the driver look at an image again if its state is `outdated`.
    fn reconsider(&self, kind: BaseKind, outdated: impl FnOnce(&BaseState) -> bool) {
        let reset = self.state(kind).send_if_modified(|state| {
            let outdated = outdated(state);
            if outdated {
                *state = BaseState::Waiting;
            }
            outdated
        });
        if reset {
            self.wanted.notify_one();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("states", &self.states).finish_non_exhaustive()
    }
}
