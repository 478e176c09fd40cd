use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Identity;

/// Who holds a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The process.
    #[serde(flatten)]
    pub identity: Identity,
    /// The version of its program.
    pub version: String,
    /// Which file its program is: device, inode and time of the last change.
    pub build: String,
    /// What it was told at its start.
    pub arguments: Vec<String>,
    /// Where it listens, by a name for each.
    #[serde(default)]
    pub listens: BTreeMap<String, String>,
}

impl Record {
    /// The calling process.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn own(version: &str) -> io::Result<Self> {
        Ok(Self {
            identity: Identity::own()?,
            version: version.to_owned(),
            build: build_of(Path::new("/proc/self/exe"))?,
            arguments: std::env::args().skip(1).collect(),
            listens: BTreeMap::new(),
        })
    }

    /// The same, listening at `address`.
    #[must_use]
    pub fn listening(mut self, what: &str, address: impl ToString) -> Self {
        self.listens.insert(what.to_owned(), address.to_string());
        self
    }

    /// Whether it was started from the file that is at `program` at present.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn runs(&self, program: &Path) -> io::Result<bool> {
        Ok(self.build == build_of(program)?)
    }
}

fn build_of(program: &Path) -> io::Result<String> {
    let file = std::fs::metadata(program)?;
    Ok(format!("{}:{}:{}.{:09}", file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
}

/// A file that is locked by the one process that it names, for as long as that lives.
#[derive(Debug)]
pub struct Post {
    file: File,
    path: PathBuf,
}

/// Why a post was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// Another process has it.
    #[error("{} is held by {}", path.display(), described(holder.as_deref()))]
    Held {
        /// The file.
        path: PathBuf,
        /// Who has it, once it has said so.
        holder: Option<Box<Record>>,
    },
    /// The file cannot be used.
    #[error("{} cannot be used", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

fn described(holder: Option<&Record>) -> String {
    match holder {
        Some(record) => format!("the process {}", record.identity.process.pid),
        None => String::from("a process that is about to start"),
    }
}

/// A record is shorter.
const LONGEST: usize = 64 << 10;

impl Post {
    /// Takes the post of the file at `path`, which is made if it is missing.
    ///
    /// # Errors
    /// See [`PostError`].
    pub fn take(path: &Path) -> Result<Self, PostError> {
        let unusable = |source| PostError::Unusable { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o644).open(path);
        let file = file.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: path.to_owned() }),
            Err(TryLockError::WouldBlock) => {
                let holder = Self::holder(path).map_err(unusable)?.map(Box::new);
                Err(PostError::Held { path: path.to_owned(), holder })
            }
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Says who holds it.
    ///
    /// # Errors
    /// `Unusable`.
    pub fn sign(&mut self, record: &Record) -> Result<(), PostError> {
        let write = |file: &File| {
            let mut text = serde_json::to_vec(record)?;
            // Written over what is there: space that is given up first may not be had again on a full disk.
            let there = usize::try_from(file.metadata()?.len()).unwrap_or(0).min(LONGEST);
            text.resize(there.max(text.len()), b' ');
            file.write_all_at(&text, 0)?;
            file.set_len(text.len() as u64)
        };
        write(&self.file).map_err(|source| PostError::Unusable { path: self.path.clone(), source })
    }

    /// Who holds the post of the file at `path`: a process that lives and has signed.
    ///
    /// # Errors
    /// The file or `/proc` cannot be read.
    pub fn holder(path: &Path) -> io::Result<Option<Record>> {
        let mut text = Vec::new();
        match File::open(path) {
            Ok(mut file) => file.read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // What cannot be read was not written to its end.
        let Ok(record) = serde_json::from_slice::<Record>(&text) else { return Ok(None) };
        Ok(record.identity.is_alive()?.then_some(record))
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        // A child that is being started has the file open for a moment, and with it the lock.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_has_one_holder_who_can_be_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        assert_eq!(Post::holder(&path).unwrap(), None);
        let mut post = Post::take(&path).unwrap();
        assert!(matches!(Post::take(&path), Err(PostError::Held { holder: None, .. })));
        let record = Record::own("1.2.3").unwrap().listening("http", "127.0.0.1:80");
        post.sign(&record).unwrap();
        assert_eq!(Post::holder(&path).unwrap(), Some(record.clone()));
        let Err(PostError::Held { holder: Some(holder), .. }) = Post::take(&path) else { panic!("it is held") };
        assert_eq!(*holder, record);
        drop(post);
        Post::take(&path).unwrap();
    }

    #[test]
    fn a_shorter_record_takes_the_place_of_a_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let mut post = Post::take(&path).unwrap();
        let short = Record::own("1").unwrap();
        let long = short.clone().listening("http", "x".repeat(3_000));
        for record in [&short, &long, &short] {
            post.sign(record).unwrap();
            assert_eq!(Post::holder(&path).unwrap().as_ref(), Some(record));
        }
        std::fs::write(&path, vec![b'x'; 2 * LONGEST]).unwrap();
        post.sign(&short).unwrap();
        assert_eq!(Post::holder(&path).unwrap(), Some(short));
    }

    #[test]
    fn the_dead_hold_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let mut record = Record::own("1.2.3").unwrap();
        record.identity.process.start += 1;
        Post::take(&path).unwrap().sign(&record).unwrap();
        assert_eq!(Post::holder(&path).unwrap(), None);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(Post::holder(&path).unwrap(), None);
    }
}
