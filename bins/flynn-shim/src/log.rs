//! The log file: cut into lines, bounded in size and rate, and never in the way of the job.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flynn_core::Timestamp;
use flynn_runtime::shim::{LogLimits, LogRecord, Tag};

/// A longer line is written as several records.
const LONGEST: usize = 16 << 10;

/// Cuts a stream of bytes into lines that are valid UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    rest: Vec<u8>,
}

/// A line, or a part of one that was too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) continued: bool,
}

impl Cutter {
    /// Takes bytes and gives back the lines that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> VecDeque<Line> {
        self.rest.extend_from_slice(bytes);
        let mut lines = VecDeque::new();
        let mut from = 0;
        loop {
            let rest = &self.rest[from..];
            let window = &rest[..rest.len().min(LONGEST + 1)];
            if let Some(end) = window.iter().position(|&byte| byte == b'\n') {
                lines.push_back(line(&rest[..end], false));
                from += end + 1;
            } else if rest.len() > LONGEST {
                let end = boundary(&rest[..LONGEST]);
                lines.push_back(line(&rest[..end], true));
                from += end;
            } else {
                break;
            }
        }
        self.rest.drain(..from);
        lines
    }

    /// What is left when the stream has ended without a line end.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| line(&rest, false))
    }
}

fn line(bytes: &[u8], continued: bool) -> Line {
    let bytes = if continued { bytes } else { bytes.strip_suffix(b"\r").unwrap_or(bytes) };
    Line { text: String::from_utf8_lossy(bytes).into_owned(), continued }
}

/// The last place at which a character may begin, so that none is cut in two.
fn boundary(bytes: &[u8]) -> usize {
    let begins = |byte: u8| byte & 0b1100_0000 != 0b1000_0000;
    let tail = bytes.iter().rev().take(4).position(|&byte| begins(byte));
    match tail {
        Some(back) => {
            let first = bytes.len() - 1 - back;
            let needs = match bytes[first] {
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf7 => 4,
                _ => 1,
            };
            if first > 0 && first + needs > bytes.len() { first } else { bytes.len() }
        }
        None => bytes.len(),
    }
}

/// How many bytes may still be written: a bucket that fills with time.
#[derive(Debug)]
pub(crate) struct Allowance {
    per_second: u64,
    most: u64,
    left: u64,
    at: Duration,
}

impl Allowance {
    pub(crate) fn new(limits: &LogLimits, now: Duration) -> Self {
        Self { per_second: limits.bytes_per_second, most: limits.burst_bytes, left: limits.burst_bytes, at: now }
    }

    /// Takes `bytes` out, if there are so many; all there can be if that is less. `now` is a time that never
    /// runs backwards.
    pub(crate) fn take(&mut self, bytes: u64, now: Duration) -> bool {
        let bytes = bytes.min(self.most);
        let millis = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        let gained = self.per_second.saturating_mul(millis) / 1_000;
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(self.most);
            self.at = now;
        }
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// The log file of one job.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    limits: LogLimits,
    file: Option<File>,
    size: u64,
    allowance: Allowance,
    dropped: u64,
    /// When it was last said how many were dropped.
    noted: Option<Duration>,
}

/// How often it is said, while lines go on to be dropped.
const NOTE_EVERY: Duration = Duration::from_secs(10);

impl Log {
    pub(crate) fn open(path: PathBuf, limits: LogLimits, now: Duration) -> io::Result<Self> {
        let file = open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path,
            limits,
            file: Some(file),
            size,
            allowance: Allowance::new(&limits, now),
            dropped: 0,
            noted: None,
        })
    }

    /// Writes a line, or counts it as dropped. `elapsed` never runs backwards.
    pub(crate) fn write(&mut self, tag: Tag, line: Line, at: Timestamp, elapsed: Duration) {
        let record = LogRecord { at, tag, continued: line.continued, text: line.text };
        // A flood that is let through line by line would have a note for each.
        let is_due = self.noted.is_none_or(|noted| elapsed.saturating_sub(noted) >= NOTE_EVERY);
        let mut text = if is_due { self.note(at) } else { String::new() };
        let is_noted = !text.is_empty();
        text.push_str(&record.to_string());
        text.push('\n');
        if self.allowance.take(text.len() as u64, elapsed) && self.append(text.as_bytes()).is_ok() {
            if is_noted {
                (self.dropped, self.noted) = (0, Some(elapsed));
            }
        } else {
            self.dropped += 1;
        }
    }

    /// Says what was dropped last, when nothing follows.
    pub(crate) fn finish(&mut self, at: Timestamp) {
        let note = self.note(at);
        // Where the disk is full even this is lost, and the exit record says nothing of it.
        if !note.is_empty() && self.append(note.as_bytes()).is_ok() {
            self.dropped = 0;
        }
    }

    fn note(&self, at: Timestamp) -> String {
        if self.dropped == 0 {
            return String::new();
        }
        let text = format!("{} lines were dropped: they came too fast, or the disk is full", self.dropped);
        format!("{}\n", LogRecord { at, tag: Tag::Platform, continued: false, text })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + bytes.len() as u64 > self.limits.file_bytes {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path)?),
        };
        if let Err(error) = file.write_all(bytes) {
            // Half a record would swallow the next one. If even that fails, readers skip what is no record.
            let _ = file.set_len(self.size);
            return Err(error);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        self.size = 0;
        let aside = |number: u32| numbered(&self.path, number);
        let oldest = self.limits.files.saturating_sub(1);
        if oldest == 0 {
            return remove(&self.path);
        }
        remove(&aside(oldest))?;
        for number in (1..oldest).rev() {
            rename(&aside(number), &aside(number + 1))?;
        }
        rename(&self.path, &aside(1))
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(0o600).open(path)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    path.with_extension(number.to_string())
}

fn remove(path: &Path) -> io::Result<()> {
    present(fs::remove_file(path))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    present(fs::rename(from, to))
}

fn present(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Line> {
        let mut cutter = Cutter::default();
        let mut lines: Vec<_> = chunks.iter().flat_map(|chunk| cutter.feed(chunk)).collect();
        lines.extend(cutter.finish());
        lines
    }

    proptest! {
        #[test]
        fn where_a_stream_is_split_makes_no_difference(
            text in "([a-zé€😀\n]|[a-z]{0,9000}){0,8}",
            at in prop::collection::vec(0_usize..60_000, 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut at: Vec<_> = at.into_iter().map(|at| at.min(bytes.len())).collect();
            at.push(0);
            at.push(bytes.len());
            at.sort_unstable();
            let chunks: Vec<_> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let lines = cut(&chunks);
            prop_assert_eq!(&lines, &cut(&[bytes]));

            let mut joined = String::new();
            for line in &lines {
                prop_assert!(line.text.len() <= LONGEST);
                joined.push_str(&line.text);
                if !line.continued {
                    joined.push('\n');
                }
            }
            let expected = if text.is_empty() || text.ends_with('\n') { text } else { format!("{text}\n") };
            prop_assert_eq!(joined, expected);
        }

        #[test]
        fn no_more_is_allowed_than_burst_and_rate(
            asks in prop::collection::vec((0_u64..500, 1_u64..400), 1..100),
        ) {
            let limits = LogLimits { bytes_per_second: 1_000, burst_bytes: 300, ..LogLimits::default() };
            let mut allowance = Allowance::new(&limits, Duration::ZERO);
            let (mut now, mut taken) = (Duration::ZERO, 0);
            for (millis, bytes) in asks {
                now += Duration::from_millis(millis);
                if allowance.take(bytes, now) {
                    taken += bytes.min(300);
                }
                let most = 300 + u64::try_from(now.as_millis()).unwrap();
                prop_assert!(taken <= most, "{taken} of {most}");
            }
        }
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        assert_eq!(cut(&[b"a\xffb\r\n"]), [Line { text: "a\u{fffd}b".to_owned(), continued: false }]);
    }

    fn read(path: &Path) -> Vec<LogRecord> {
        fs::read_to_string(path).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }

    fn write(log: &mut Log, text: &str, elapsed: Duration) {
        let line = Line { text: text.to_owned(), continued: false };
        log.write(Tag::Output, line, Timestamp::from_millis(1), elapsed);
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let limits = LogLimits { file_bytes: 20, files: 3, ..LogLimits::default() };
        let mut log = Log::open(path.clone(), limits, Duration::ZERO).unwrap();
        for number in 0..9 {
            write(&mut log, &format!("line {number}"), Duration::ZERO);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
        for (file, text) in [(path.clone(), "line 8"), (numbered(&path, 1), "line 7"), (numbered(&path, 2), "line 6")] {
            assert_eq!(read(&file)[0].text, text);
        }
    }

    #[test]
    fn what_comes_too_fast_is_dropped_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let limits = LogLimits { bytes_per_second: 100, burst_bytes: 30, ..LogLimits::default() };
        let mut log = Log::open(path.clone(), limits, Duration::ZERO).unwrap();
        for number in 0..10 {
            write(&mut log, &format!("line {number}"), Duration::ZERO);
        }
        write(&mut log, "later", Duration::from_secs(3_600));
        let records = read(&path);
        let texts: Vec<_> = records.iter().map(|record| record.text.as_str()).collect();
        assert_eq!(texts[..2], ["line 0", "line 1"]);
        assert!(texts[2].starts_with("8 lines were dropped"), "{texts:?}");
        assert_eq!(texts[3..], ["later"]);
        assert_eq!(log.dropped, 0);
    }

    #[test]
    fn a_flood_is_noted_once_in_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let limits = LogLimits { bytes_per_second: 1_000, burst_bytes: 300, ..LogLimits::default() };
        let mut log = Log::open(path.clone(), limits, Duration::ZERO).unwrap();
        for number in 0..30_000_u64 {
            write(&mut log, &format!("line {number}"), Duration::from_millis(number));
        }
        log.finish(Timestamp::from_millis(1));
        let records = read(&path);
        let notes: Vec<u64> = (records.iter().filter(|record| record.tag == Tag::Platform))
            .map(|record| record.text.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!((3..=4).contains(&notes.len()), "{notes:?}");
        assert_eq!(notes.iter().sum::<u64>() as usize + records.len() - notes.len(), 30_000, "each is counted once");
    }

    #[test]
    fn a_full_disk_costs_lines_and_nothing_else() {
        let path = Path::new("/dev/full").to_owned();
        let file = File::options().append(true).open(&path).unwrap();
        let limits = LogLimits::default();
        let allowance = Allowance::new(&limits, Duration::ZERO);
        let mut log = Log { path, limits, file: Some(file), size: 0, allowance, dropped: 0, noted: None };
        write(&mut log, "one", Duration::ZERO);
        write(&mut log, "two", Duration::ZERO);
        assert_eq!(log.dropped, 2);

        let directory = tempfile::tempdir().unwrap();
        log.path = directory.path().join("log");
        log.file = None;
        write(&mut log, "three", Duration::ZERO);
        let records = read(&log.path);
        assert_eq!((records[0].tag, records[1].text.as_str()), (Tag::Platform, "three"));
        assert!(records[0].text.starts_with("2 lines"));
    }
}
