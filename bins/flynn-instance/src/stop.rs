use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The wish of the operator that the process ends: TERM, INT or HUP.
#[derive(Debug)]
pub struct Stop {
    signals: [Signal; 3],
}

impl Stop {
    /// Listens for the signals from here on. Needs a tokio runtime.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn listen() -> io::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = kinds.map(signal);
        Ok(Self { signals: [terminate?, interrupt?, hangup?] })
    }

    /// Waits for one of the signals.
    pub async fn wished(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.signals;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
