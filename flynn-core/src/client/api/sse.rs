//! Server-sent events (WHATWG HTML §9.2), as far as this API uses them.

/// Takes bytes in as they come and gives events out.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// The line that has not ended.
    line: Vec<u8>,
    /// Whether the last byte was a carriage return, which a line feed may complete.
    returned: bool,
    event: Event,
    has_data: bool,
}

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// What it is called; empty if it is not.
    pub(super) name: String,
    pub(super) data: String,
}

impl Parser {
    /// Takes some bytes in, and appends the events that they complete.
    ///
    /// # Errors
    /// What is being received is larger than `longest` bytes.
    pub(super) fn take(&mut self, bytes: &[u8], longest: usize, events: &mut Vec<Event>) -> Result<(), TooLong> {
        for byte in bytes {
            let completes = self.returned && *byte == b'\n';
            self.returned = *byte == b'\r';
            match byte {
                _ if completes => {}
                b'\r' | b'\n' => self.end_line(events),
                _ if self.line.len() + self.event.data.len() >= longest => return Err(TooLong),
                byte => self.line.push(*byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // Comments are heartbeats; this client does not resume by ids.
            _ => {}
        }
    }
}

/// An event has no end in sight.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[(&str, &str)]) {
        let expect: Vec<_> =
            expect.iter().map(|(name, data)| Event { name: (*name).into(), data: (*data).into() }).collect();
        for size in [1, 2, 3, 1_000] {
            let (mut parser, mut events) = (Parser::default(), Vec::new());
            for chunk in text.as_bytes().chunks(size) {
                parser.take(chunk, 1_000, &mut events).unwrap();
            }
            assert_eq!(events, expect, "{text:?} in chunks of {size}");
        }
    }

    #[test]
    fn events_end_with_an_empty_line_however_they_are_cut() {
        check("data: a\n\n", &[("", "a")]);
        check("event: line\r\ndata: {}\r\nid: 7\r\n\r\n: beat\r\n\r\ndata:b\r\n\r\n", &[("line", "{}"), ("", "b")]);
        check("data: a\rdata:  b\r\rdata: ä\n\n", &[("", "a\n b"), ("", "ä")]);
        check("event: end\n\ndata: a\n\n", &[("", "a")]);
        check("data\n\n", &[("", "")]);
        check("data: never ended", &[]);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut events = Vec::new();
        assert_eq!(Parser::default().take(&[b'a'; 100], 50, &mut events), Err(TooLong));
        let mut parser = Parser::default();
        let lines = "data: aaaaaaaaaa\n".repeat(10);
        assert_eq!(parser.take(lines.as_bytes(), 50, &mut events), Err(TooLong));
    }
}
