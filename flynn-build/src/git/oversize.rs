//! Telling a pusher in git's own words that a push is too large.

use super::pkt;
use super::rules::RefChange;

/// The most bytes of the part of a push that comes before its pack.
const MOST_COMMANDS: usize = 256 << 10;

/// Reads the commands at the beginning of a push, to know which refs to answer for.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    buffer: Vec<u8>,
    read: usize,
    refs: Vec<String>,
    sideband: bool,
    done: bool,
}

impl Commands {
    /// Takes the next bytes of the push.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.done {
            return;
        }
        self.buffer.extend(bytes);
        while let Some(head) = self.buffer.get(self.read..self.read + 4) {
            let Ok(Some(length)) = pkt::length(head) else {
                self.done = true;
                break;
            };
            let start = self.read + 4;
            let Some(line) = self.buffer.get(start..start + length) else {
                break;
            };
            let mut halves = line.splitn(2, |byte| *byte == 0);
            if let Some(change) = halves.next().and_then(RefChange::parse) {
                self.refs.push(change.name);
            }
            let capabilities = halves.next().map(String::from_utf8_lossy).unwrap_or_default();
            self.sideband |= capabilities.split_ascii_whitespace().any(|word| word == "side-band-64k");
            self.read = start + length;
        }
        if self.done || self.buffer.len() > MOST_COMMANDS {
            self.done = true;
            self.buffer = Vec::new();
        }
    }

    /// Whether all commands are there.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// The answer to a push of which nothing was taken, for one `reason` (gitprotocol-pack, "Report Status").
    pub(crate) fn refusal(&self, reason: &str) -> Vec<u8> {
        let mut report = Vec::new();
        pkt::put(&mut report, b"unpack too large\n");
        for name in &self.refs {
            pkt::put(&mut report, format!("ng {name} {reason}\n").as_bytes());
        }
        report.extend(pkt::FLUSH);
        if !self.sideband {
            return report;
        }
        let mut answer = Vec::new();
        for part in report.chunks(pkt::MOST - 1) {
            pkt::put(&mut answer, &[b"\x01", part].concat());
        }
        answer.extend(pkt::FLUSH);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(step: usize) -> Commands {
        let id = "a".repeat(40);
        let mut push = Vec::new();
        pkt::put(&mut push, format!("shallow {id}").as_bytes());
        pkt::put(&mut push, format!("{id} {id} refs/heads/main\0report-status side-band-64k agent=x").as_bytes());
        pkt::put(&mut push, format!("{id} {id} refs/heads/dev").as_bytes());
        push.extend(pkt::FLUSH);
        push.extend(b"PACK....");
        let mut commands = Commands::default();
        push.chunks(step).for_each(|part| commands.push(part));
        commands
    }

    #[test]
    fn commands_are_read_in_whatever_pieces_they_come() {
        for step in [1, 3, 50, 10_000] {
            let commands = commands(step);
            assert!(commands.is_done() && commands.sideband, "{step}");
            assert_eq!(commands.refs, ["refs/heads/main", "refs/heads/dev"]);
        }
    }

    #[test]
    fn the_refusal_answers_for_each_ref() {
        let text = String::from_utf8(commands(7).refusal("too much")).unwrap();
        assert!(text.contains("ng refs/heads/main too much\n") && text.contains("ng refs/heads/dev too much\n"));
        assert!(text.ends_with("00000000"), "one flush packet within the band and one outside");
    }

    #[test]
    fn endless_commands_are_not_kept() {
        let mut commands = Commands::default();
        let mut line = Vec::new();
        pkt::put(&mut line, &[b'x'; 60_000]);
        for _ in 0..10 {
            commands.push(&line);
        }
        assert!(commands.is_done() && commands.buffer.is_empty());
    }
}
