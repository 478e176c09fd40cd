use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Context;
use rustix::fs::{Mode, OFlags, open, openat, renameat};
use rustix::io::Errno;

/// The most bytes of the file, give or take a line.
const MOST: u64 = 16 << 20;
/// How many full ones are kept beside it.
const KEPT: usize = 3;

/// A file that lines are added to. A full one gets `.1` at the end of its name, the one before `.2`, and so on; the
/// oldest goes. No line is lost or cut in two by that.
#[derive(Debug)]
pub(crate) struct AccessFile {
    /// The way to the others, also for who may not pass the folders above it.
    folder: OwnedFd,
    name: OsString,
    file: File,
    bytes: u64,
    most: u64,
    ends_line: bool,
    /// Whether the last full one could not be set aside.
    is_stuck: bool,
}

impl AccessFile {
    /// Goes on at the end of the file.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Self::bounded(path, MOST).with_context(|| format!("the access log {} cannot be written", path.display()))
    }

    fn bounded(path: &Path, most: u64) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let folder = open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let file = append_to(&folder, &name)?;
        let about = file.metadata()?;
        // A pipe or a terminal is never full.
        let most = if about.is_file() { most } else { u64::MAX };
        Ok(Self { folder, name, file, bytes: about.len(), most, ends_line: true, is_stuck: false })
    }

    fn set_aside(&mut self) -> io::Result<()> {
        let kept = |number: usize| {
            let mut name = self.name.clone();
            if number > 0 {
                name.push(format!(".{number}"));
            }
            name
        };
        for number in (0..KEPT).rev() {
            match renameat(&self.folder, kept(number), &self.folder, kept(number + 1)) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.file = append_to(&self.folder, &self.name)?;
        Ok(())
    }

    /// Makes room for more lines: without, the lines so far go, since the disk belongs to others too.
    fn make_room(&mut self) -> io::Result<()> {
        match self.set_aside() {
            Ok(()) => self.is_stuck = false,
            Err(error) => {
                if !self.is_stuck {
                    tracing::warn!(%error, "a full access log cannot be set aside, so it is emptied");
                }
                self.is_stuck = true;
                self.file.set_len(0)?;
            }
        }
        self.bytes = 0;
        Ok(())
    }
}

impl Write for AccessFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ends_line && self.bytes > 0 && self.bytes.saturating_add(bytes.len() as u64) > self.most {
            self.make_room()?;
        }
        let count = self.file.write(bytes)?;
        self.bytes += count as u64;
        if let Some(last) = bytes.get(..count).and_then(<[u8]>::last) {
            self.ends_line = *last == b'\n';
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(folder: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::from_raw_mode(0o640))?.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is in the files, the oldest first, and how many there are.
    fn content(folder: &Path) -> (String, usize) {
        let names = ["access.log.3", "access.log.2", "access.log.1", "access.log"];
        let text = names.iter().map(|name| fs::read_to_string(folder.join(name)).unwrap_or_default()).collect();
        (text, fs::read_dir(folder).unwrap().count())
    }

    #[test]
    fn full_files_are_set_aside_and_no_line_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut wanted = String::new();
        for start in [0, 10] {
            // The second one goes on where the first was left.
            let mut log = AccessFile::bounded(&path, 40).unwrap();
            for number in start..start + 10 {
                let line = format!("line {number:02}");
                log.write_all(line.as_bytes()).unwrap();
                log.write_all(b"\n").unwrap();
                wanted += &(line + "\n");
                let (text, files) = content(folder.path());
                assert!(wanted.ends_with(&text) && text.len() >= wanted.len().min(120), "{text}");
                assert!(files <= KEPT + 1);
            }
        }
        for name in ["access.log", "access.log.1", "access.log.2", "access.log.3"] {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.len() <= 48 && text.starts_with("line") && text.ends_with('\n'), "{name}: {text}");
        }
    }

    #[test]
    fn one_that_cannot_be_set_aside_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        // A folder that is not empty cannot be replaced by a file.
        fs::create_dir_all(folder.path().join("access.log.1/full")).unwrap();
        fs::create_dir_all(folder.path().join("access.log.2/full")).unwrap();
        fs::create_dir_all(folder.path().join("access.log.3/full")).unwrap();
        let mut log = AccessFile::bounded(&path, 16).unwrap();
        for _ in 0..100 {
            log.write_all(b"a line\n").unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() <= 16);
    }
}
