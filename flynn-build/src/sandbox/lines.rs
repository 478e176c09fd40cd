use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A longer line is cut into several.
const LONGEST: usize = 8 << 10;
/// How many of the last lines are kept, to say why a command failed.
const KEPT: usize = 50;

/// Reads lines to the end of `stream`. Bytes that are not UTF-8 are replaced; a carriage return within a line
/// takes away what stands before it, as on a terminal.
pub(super) async fn read_lines(mut stream: impl AsyncRead + Unpin, mut take: impl FnMut(&str)) -> std::io::Result<()> {
    let mut line = Vec::new();
    let mut buffer = vec![0; 8 << 10];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        for &byte in buffer.iter().take(count) {
            if byte == b'\n' || line.len() >= LONGEST {
                take(&text(&line));
                line.clear();
            }
            if byte != b'\n' {
                line.push(byte);
            }
        }
    }
    if !line.is_empty() {
        take(&text(&line));
    }
    Ok(())
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let shown = line.rsplit(|&byte| byte == b'\r').next().unwrap_or(line);
    String::from_utf8_lossy(shown).into_owned()
}

/// The last lines of a command.
#[derive(Debug, Default)]
pub(super) struct LastLines(VecDeque<String>);

impl LastLines {
    pub(super) fn push(&mut self, line: &str) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(bytes: &[u8], expect: &[&str]) {
        let mut lines = Vec::new();
        read_lines(bytes, |line| lines.push(line.to_owned())).await.unwrap();
        assert_eq!(lines, expect);
    }

    #[tokio::test]
    async fn lines_are_what_a_terminal_would_show_last() {
        check(b"", &[]).await;
        check(b"one\n\ntwo", &["one", "", "two"]).await;
        check(b"one\r\n10%\r20%\r30%\ndone\r\n", &["one", "30%", "done"]).await;
        check(b"caf\xe9\n", &["caf\u{fffd}"]).await;
    }

    #[tokio::test]
    async fn long_lines_are_cut() {
        let mut lines = Vec::new();
        read_lines(&vec![b'x'; 2 * LONGEST + 5][..], |line| lines.push(line.len())).await.unwrap();
        assert_eq!(lines, [LONGEST, LONGEST, 5]);
    }
}
