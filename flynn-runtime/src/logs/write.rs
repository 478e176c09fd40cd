use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flynn_core::port::{LogLine, LogStream};
use flynn_core::{AppId, Timestamp};
use tokio::sync::oneshot;

use super::LogsOptions;
use super::origin::Origin;
use super::part::{create, ids, numbered, present, remove_empty};
use crate::shim::{LogRecord, Tag};

/// A longer line is written as several records.
const LONGEST: usize = 16 << 10;
/// So many files are kept open.
const MOST_OPEN: usize = 64;
/// What the smallest file takes.
const BLOCK: u64 = 4 << 10;

/// Writes what builds and the platform say, on a thread of its own.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<SyncSender<Message>>,
    drops: Arc<Drops>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Message {
    Line(LogLine),
    Flush(oneshot::Sender<()>),
}

/// Lines that there was no room for.
#[derive(Debug, Default)]
struct Drops {
    all: AtomicU64,
    /// Those that their own logs do not know of yet.
    unsaid: Mutex<BTreeMap<Origin, u64>>,
}

impl Drops {
    fn count(&self, origin: Option<Origin>) {
        self.all.fetch_add(1, Ordering::Relaxed);
        if let Some(origin) = origin {
            *self.unsaid.lock().unwrap_or_else(PoisonError::into_inner).entry(origin).or_default() += 1;
        }
    }

    fn take(&self, origin: Origin) -> u64 {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner).remove(&origin).unwrap_or(0)
    }
}

impl Writer {
    pub(super) fn start(options: &LogsOptions) -> io::Result<Self> {
        fs::create_dir_all(options.directory.join("builds"))?;
        let (queue, messages) = sync_channel(options.queue.max(1));
        let drops = Arc::new(Drops::default());
        let pen = Pen { options: options.clone(), drops: drops.clone(), open: BTreeMap::new(), unswept: None };
        let thread =
            std::thread::Builder::new().name("flynn-logs".to_owned()).spawn(move || pen.write_all(&messages))?;
        Ok(Self { queue: Some(queue), drops, thread: Some(thread) })
    }

    pub(super) fn emit(&self, line: LogLine) {
        let origin = origin(&line.stream);
        let (Some(origin), Some(queue)) = (origin, &self.queue) else { return self.drops.count(None) };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(Message::Line(line)) {
            self.drops.count(Some(origin));
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.drops.all.load(Ordering::Relaxed)
    }

    pub(super) async fn flush(&self) {
        let Some(queue) = self.queue.clone() else { return };
        let (done, wait) = oneshot::channel();
        // The queue may be full, and then waiting for room must not hold up others.
        let _ = tokio::task::spawn_blocking(move || queue.send(Message::Flush(done))).await;
        let _ = wait.await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It panicked, and said so.
            let _ = thread.join();
        }
    }
}

/// Where lines of this stream are written; none for those of jobs.
fn origin(stream: &LogStream) -> Option<Origin> {
    match stream {
        LogStream::Build(build) => Some(Origin::Build(*build)),
        LogStream::Platform(app) => Some(Origin::Platform(*app)),
        _ => None,
    }
}

struct Pen {
    options: LogsOptions,
    drops: Arc<Drops>,
    open: BTreeMap<Origin, (File, u64)>,
    /// What was written about apps since it was last seen to what all of that takes, if it was.
    unswept: Option<u64>,
}

impl Pen {
    fn write_all(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            match message {
                Message::Line(line) => self.take(line),
                // Whoever asked may have gone.
                Message::Flush(done) => drop(done.send(())),
            }
        }
    }

    fn take(&mut self, line: LogLine) {
        let Some(origin) = origin(&line.stream) else { return };
        let dropped = self.drops.take(origin);
        let mut text = String::new();
        if dropped > 0 {
            let said = format!("{dropped} lines were dropped: they came too fast, or the disk is full");
            records(&mut text, line.at, Tag::Platform, &said);
        }
        records(&mut text, line.at, Tag::Output, &line.text);
        if let Err(error) = self.write(origin, text.as_bytes()) {
            tracing::debug!(%error, "a line was not written to its log");
            self.open.remove(&origin);
            for _ in 0..=dropped {
                self.drops.count(Some(origin));
            }
            self.drops.all.fetch_sub(dropped, Ordering::Relaxed);
        }
    }

    fn write(&mut self, origin: Origin, bytes: &[u8]) -> io::Result<()> {
        let most = match origin {
            Origin::Build(_) => self.options.build_bytes,
            _ => self.options.platform_bytes,
        };
        let directory = origin.directory(&self.options.directory);
        let log = directory.join("log");
        if let Origin::Platform(_) = origin {
            let more = if directory.exists() { bytes.len() as u64 } else { bytes.len() as u64 + 2 * BLOCK };
            let unswept = self.unswept.map(|unswept| unswept + more).filter(|unswept| *unswept <= most / 2);
            if unswept.is_none() {
                self.forget_platforms(origin)?;
            }
            self.unswept = Some(unswept.unwrap_or(0));
        }
        if !self.open.contains_key(&origin) {
            if self.open.len() >= MOST_OPEN {
                self.open.clear();
            }
            if !directory.exists() {
                if let Origin::Build(_) = origin {
                    forget_builds(&self.options)?;
                }
                create(&directory)?;
            }
            self.open.insert(origin, open(&log)?);
        }
        let full = self.open.get(&origin).is_some_and(|(_, size)| *size > 0 && size + bytes.len() as u64 > most / 2);
        if full {
            self.open.remove(&origin);
            fs::rename(&log, numbered(&log, 1))?;
            self.open.insert(origin, open(&log)?);
        }
        let Some((file, size)) = self.open.get_mut(&origin) else { return Ok(()) };
        if let Err(error) = file.write_all(bytes) {
            // Half a record would swallow the next one. If even that fails, readers skip what is no record.
            let _ = file.set_len(*size);
            return Err(error);
        }
        *size += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what was said about the apps of which nothing was said for the longest time, beyond what all may
    /// take, but nothing of `kept`.
    fn forget_platforms(&mut self, kept: Origin) -> io::Result<()> {
        let mut all = Vec::new();
        for app in ids::<AppId>(&self.options.directory)? {
            let origin = Origin::Platform(app);
            let directory = origin.directory(&self.options.directory);
            let Some(own) = present(fs::metadata(&directory))? else { continue };
            let log = directory.join("log");
            // A file takes whole blocks, and so does the directory.
            let (mut bytes, mut at) = (BLOCK, own.modified()?);
            for path in [numbered(&log, 1), log] {
                let Some(metadata) = present(fs::metadata(path))? else { continue };
                bytes += metadata.len().next_multiple_of(BLOCK);
                at = metadata.modified()?;
            }
            all.push((at, origin, directory, bytes));
        }
        all.sort_by_key(|(at, origin, ..)| (*at, *origin));
        let mut bytes: u64 = all.iter().map(|(.., bytes)| bytes).sum();
        for (_, origin, directory, size) in all {
            if bytes + self.options.platform_bytes <= self.options.platforms_bytes {
                break;
            }
            if origin != kept {
                // A file that is still open would be written to without a name.
                self.open.remove(&origin);
                present(fs::remove_dir_all(&directory))?;
                remove_empty(&directory, 1);
                bytes -= size;
            }
        }
        Ok(())
    }
}

/// Opens a log for writing at its end. A record that was cut off when its writer died gets an end.
fn open(log: &Path) -> io::Result<(File, u64)> {
    let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(log)?;
    let mut size = file.metadata()?.len();
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

/// Adds the records of a text, which may have several lines.
fn records(to: &mut String, at: Timestamp, tag: Tag, text: &str) {
    for line in text.split('\n') {
        let mut line = line.strip_suffix('\r').unwrap_or(line);
        loop {
            let (piece, rest) = line.split_at(line.floor_char_boundary(LONGEST));
            let continued = !rest.is_empty();
            to.push_str(&format!("{}\n", LogRecord { at, tag, continued, text: piece.to_owned() }));
            line = rest;
            if !continued {
                break;
            }
        }
    }
}

/// Forgets the oldest builds beyond what all may take. One that is written to is among the newest.
fn forget_builds(options: &LogsOptions) -> io::Result<()> {
    let mut builds: Vec<(std::time::SystemTime, PathBuf, u64)> = Vec::new();
    for entry in fs::read_dir(options.directory.join("builds"))? {
        let path = entry?.path();
        let log = path.join("log");
        let Some(metadata) = present(fs::metadata(&log))? else { continue };
        let older = present(fs::metadata(numbered(&log, 1)))?.map_or(0, |metadata| metadata.len());
        builds.push((metadata.modified()?, path, metadata.len() + older));
    }
    builds.sort();
    let mut bytes: u64 = builds.iter().map(|(_, _, bytes)| bytes).sum();
    for (_, path, size) in builds {
        if bytes + options.build_bytes <= options.builds_bytes {
            break;
        }
        present(fs::remove_dir_all(path))?;
        bytes -= size;
    }
    Ok(())
}
