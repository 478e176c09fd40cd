use std::sync::Arc;

use reqwest::Response;

use super::call::{Caller, Fault};
use crate::wire::peer::{Form, decode};

/// Reads an answer line by line, and never holds more than one line and what came with it.
pub(super) struct Lines {
    caller: Arc<Caller>,
    response: Response,
    received: Vec<u8>,
    /// How much of `received` was given out.
    taken: usize,
}

impl Lines {
    pub(super) fn new(caller: Arc<Caller>, response: Response) -> Self {
        Self { caller, response, received: Vec::new(), taken: 0 }
    }

    /// The next line; an answer that ends before its last line has broken off.
    pub(super) async fn next<L: Form>(&mut self) -> Result<L, Fault> {
        let mut searched = self.taken;
        loop {
            if let Some(length) = self.received[searched..].iter().position(|byte| *byte == b'\n') {
                let end = searched + length;
                let line = self.parse(self.taken, end);
                self.taken = end + 1;
                return line;
            }
            if self.received.len() - self.taken > self.caller.options.longest {
                let problem = format!("sent a line of more than {} bytes", self.caller.options.longest);
                return Err(Fault::Lost(self.caller.trouble(problem)));
            }
            self.received.drain(..self.taken);
            self.taken = 0;
            searched = self.received.len();
            let chunk = self.response.chunk().await.map_err(|error| Fault::Broken(self.caller.broken(error)))?;
            let Some(chunk) = chunk else {
                let problem = match self.received.is_empty() {
                    true => "ended its answer before the last line",
                    false => "ended its answer in the middle of a line",
                };
                return Err(Fault::Broken(self.caller.trouble(problem)));
            };
            self.received.extend_from_slice(&chunk);
        }
    }

    fn parse<L: Form>(&self, start: usize, end: usize) -> Result<L, Fault> {
        let text = str::from_utf8(&self.received[start..end]);
        let text = text.map_err(|_| Fault::Lost(self.caller.trouble("sent a line that is not UTF-8")))?;
        decode("line", text).map_err(|error| {
            let problem = format!("sent a line that makes no sense: {}", crate::error::Chain(&error));
            Fault::Lost(self.caller.trouble(problem))
        })
    }
}
