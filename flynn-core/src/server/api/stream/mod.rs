//! What has no end of its own: logs and events as server-sent events, and terminals as WebSockets.

mod bridge;
mod events;
mod fan;
mod join;
mod logs;
mod node;
mod run;
mod sse;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::ApiError;
use super::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    let routes = routes
        .get("/v1/apps/{app}/logs", "readLogs", "The log of an app, as server-sent events.", logs::app)
        .details(
            "`line` is a line, `notice` says what is missing, `end` is the last. Lines that are there already come \
             in the order of their times, those to come as they come, from whichever node runs a job of the app.",
        )
        .get(
            "/v1/apps/{app}/builds/{build}/logs",
            "readBuildLogs",
            "The log of a build until it has ended, as server-sent events.",
            logs::build,
        )
        .details("`line` is a line, `notice` says what is missing, `end` is the last and has the build.")
        .get("/v1/events", "followEvents", "What changes, as server-sent events.", events::follow)
        .details(
            "`change` is an event; ids are revisions, and a client goes on where it was with `Last-Event-ID`. `reload` says \
             that events are missing, so that all is to be read again, and is the last, as is `end`, which says why.",
        )
        .post("/v1/apps/{app}/run", "run", "Runs a program once, in the release that serves or another.", run::run);
    let frames = "Each binary message is a frame: the byte of its kind and its payload. The client sends input (0), \
                  the end of it (1), sizes of the terminal (4: rows and columns, two bytes each) and signals (5: such as \
                  `int`); the server sends output (2), errors (3) and ends with an exit (6: JSON) or a problem (8: text). \
                  Closing it hangs up.";
    routes
        .get("/v1/apps/{app}/jobs/{job}/attach", "attach", "Joins a `run`, over a WebSocket.", join::attach)
        .details(frames)
        .get("/v1/apps/{app}/jobs/{job}/exec", "exec", "Runs a program beside a job, over a WebSocket.", join::exec)
        .details(&format!("The first message of the client is text: a `NewExec` in JSON. {frames}"))
}

/// Everything of the API that has no end of its own: the host closes it before it waits for its connections.
/// Cloning shares it.
#[derive(Clone)]
pub struct Streams {
    shared: Arc<Shared>,
}

struct Shared {
    closing: watch::Sender<bool>,
    room: Arc<Semaphore>,
    sessions: Mutex<JoinSet<()>>,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("room", &self.shared.room.available_permits()).finish_non_exhaustive()
    }
}

/// 4,096 at the same time.
impl Default for Streams {
    fn default() -> Self {
        Self::new(4_096)
    }
}

/// How long what is open has to say that it ends.
const FAREWELL: Duration = Duration::from_secs(5);

impl Streams {
    /// At most so many at the same time.
    pub fn new(most: usize) -> Self {
        let room = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        let shared = Shared { closing: watch::Sender::new(false), room, sessions: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Ends all of them and those to come, and returns when the terminals are closed.
    pub async fn close(&self) {
        self.shared.closing.send_replace(true);
        let mut sessions = std::mem::take(&mut *self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while sessions.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            sessions.shutdown().await;
        }
    }

    fn begin(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let permit = self.shared.room.clone().try_acquire_owned();
        permit.map_err(|_| ApiError::unavailable("there are too many streams"))
    }

    fn closing(&self) -> Closing {
        Closing(self.shared.closing.subscribe())
    }

    /// Runs a session, which is ended when this is closed or dropped.
    fn spawn(&self, session: impl Future<Output = ()> + Send + 'static) {
        let mut sessions = self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        while sessions.try_join_next().is_some() {}
        sessions.spawn(session);
    }
}

/// That all is being closed.
#[derive(Clone)]
struct Closing(watch::Receiver<bool>);

impl Closing {
    async fn wait(&mut self) {
        drop(self.0.wait_for(|closing| *closing).await);
    }
}
