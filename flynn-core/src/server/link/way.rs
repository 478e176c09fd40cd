use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::hub::{Asked, Registration};
use crate::wire::peer::{WayLine, encode};

/// The lines of one way, as long as it is open.
pub(super) struct Lines {
    way: Registration,
    heartbeat: Duration,
    closing: Option<watch::Receiver<bool>>,
    stage: Stage,
}

enum Stage {
    Begin,
    Open,
    Ended,
}

impl Lines {
    pub(super) fn new(way: Registration, heartbeat: Duration, closing: Option<watch::Receiver<bool>>) -> Self {
        Self { way, heartbeat, closing, stage: Stage::Begin }
    }

    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut lines| async move {
            let line = match lines.stage {
                Stage::Begin => {
                    lines.stage = Stage::Open;
                    WayLine::Welcome { session: lines.way.way.session, beat: lines.heartbeat }
                }
                Stage::Open => lines.next().await,
                Stage::Ended => return None,
            };
            if let WayLine::End(_) = line {
                lines.stage = Stage::Ended;
            }
            Some((Ok::<_, Infallible>(written(&line)), lines))
        }))
    }

    async fn next(&mut self) -> WayLine {
        let beat = Instant::now() + self.heartbeat;
        loop {
            let end = self.way.end();
            tokio::select! {
                asked = self.way.next() => return match asked {
                    Asked::Open(id, request) => WayLine::Open { id, request },
                    Asked::Close(id) => WayLine::Close { id },
                    Asked::Replaced => WayLine::End(String::from("the node has dialled again")),
                },
                () = sleep_until(beat) => return WayLine::Beat,
                () = sleep_until(end) => {
                    if self.way.end() <= Instant::now() {
                        self.way.break_off();
                        return WayLine::End(String::from("the node does not beat"));
                    }
                }
                () = closed(&mut self.closing) => return WayLine::End(String::from("the server is shutting down")),
            }
        }
    }
}

fn written(line: &WayLine) -> Bytes {
    // A request that has no form cannot be asked for; its opener waits in vain.
    let mut text = encode("line", line).unwrap_or_else(|_| String::from("{\"type\":\"beat\"}"));
    text.push('\n');
    text.into()
}

async fn closed(closing: &mut Option<watch::Receiver<bool>>) {
    match closing {
        Some(closing) => drop(closing.wait_for(|closing| *closing).await),
        None => std::future::pending().await,
    }
}
