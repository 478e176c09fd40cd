use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::closing::Closing;

/// The most bytes of a log file, and of the one before it.
const MOST: u64 = 16 << 20;
const OFTEN: Duration = Duration::from_secs(2);

/// Keeps the log files of a folder from growing without bound, until the end of service: what is in a full one replaces
/// the file of the same name with `.1` at the end. Lines that are written in the moment between are lost.
pub(crate) async fn bound_logs(folder: &Path, closing: Closing) {
    loop {
        let owned = folder.to_owned();
        match tokio::task::spawn_blocking(move || bound(&owned, MOST)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, folder = %folder.display(), "logs could not be bounded"),
            Err(_) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(OFTEN) => {}
            () = closing.begun() => return,
        }
    }
}

/// The writers have the files open for appending, so that a file that was emptied is written from its start.
fn bound(folder: &Path, most: u64) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if !is_log || fs::metadata(&path)?.len() <= most {
            continue;
        }
        let mut full = OpenOptions::new().read(true).write(true).open(&path)?;
        let before = path.with_extension("log.1");
        let fresh = path.with_extension("log.fresh");
        io::copy(&mut full, &mut File::create(&fresh)?)?;
        fs::rename(&fresh, &before)?;
        full.set_len(0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_full_log_is_set_aside_and_its_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut writer = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        for text in ["first", "second"] {
            write!(writer, "{text}").unwrap();
            bound(folder.path(), 4).unwrap();
            assert_eq!(fs::read_to_string(folder.path().join("a.log.1")).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        }
        write!(writer, "abc").unwrap();
        bound(folder.path(), 4).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "abc");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
