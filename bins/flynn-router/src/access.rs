use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use flynn_router::access::{AccessLog, AccessRecord};

/// Lines that may wait for the disk.
const QUEUE: usize = 8_192;

/// An access log that never makes a request wait: lines that there is no room for are dropped, and their number
/// is written down.
#[derive(Debug)]
pub(crate) struct LineLog {
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

/// Writes the lines of a [`LineLog`] until that is gone.
#[derive(Debug)]
pub(crate) struct LineWriter {
    thread: JoinHandle<()>,
}

impl AccessLog for LineLog {
    fn record(&self, record: &AccessRecord) {
        if self.lines.try_send(record.to_string()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Begins to write to `output`.
pub(crate) fn start(output: Box<dyn Write + Send>) -> io::Result<(LineLog, LineWriter)> {
    let (lines, queue) = sync_channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let counted = dropped.clone();
    let thread =
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(&queue, output, &counted))?;
    Ok((LineLog { lines, dropped }, LineWriter { thread }))
}

impl LineWriter {
    /// Waits until the last line is written. The log has to be gone.
    pub(crate) fn finish(self) {
        if self.thread.join().is_err() {
            tracing::error!("the writer of the access log broke down");
        }
    }
}

fn write(queue: &Receiver<String>, output: Box<dyn Write + Send>, dropped: &AtomicU64) {
    let mut output = BufWriter::with_capacity(64 << 10, output);
    let mut failing = false;
    while let Ok(first) = queue.recv() {
        let written = write_waiting(queue, first, &mut output, dropped);
        if let Err(error) = &written
            && !failing
        {
            tracing::warn!(%error, "the access log cannot be written");
        }
        failing = written.is_err();
    }
}

/// Writes all lines that wait.
fn write_waiting(
    queue: &Receiver<String>,
    first: String,
    output: &mut impl Write,
    dropped: &AtomicU64,
) -> io::Result<()> {
    writeln!(output, "{first}")?;
    while let Ok(line) = queue.try_recv() {
        writeln!(output, "{line}")?;
    }
    match dropped.swap(0, Ordering::Relaxed) {
        0 => {}
        count => writeln!(output, "at=warn desc=\"access records were dropped\" count={count}")?,
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_order_and_lost_ones_counted() {
        let output = Shared::default();
        let (log, writer) = start(Box::new(output.clone())).unwrap();
        log.dropped.store(2, Ordering::Relaxed);
        for number in 0..3 {
            log.lines.send(format!("line {number}")).unwrap();
        }
        drop(log);
        writer.finish();
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("line")).collect();
        assert_eq!(lines, ["line 0", "line 1", "line 2"]);
        assert_eq!(text.matches("count=2").count(), 1, "{text}");
    }
}
