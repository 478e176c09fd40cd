use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::local::place::InPlace;
use crate::port::Blob;
use crate::time::Timestamp;
use crate::value::Digest;

/// Where things lie below the root.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
    complete: PathBuf,
    incoming: PathBuf,
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { complete: root.join("sha256"), incoming: root.join("incoming"), root }
    }

    /// Where content lies that is not complete.
    pub(super) fn incoming(&self) -> &Path {
        &self.incoming
    }

    /// Makes all directories, durably, so that no put has to.
    pub(super) fn make(&self) -> io::Result<()> {
        for directory in [&self.root, &self.incoming, &self.complete] {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).at(directory)?;
        }
        for shard in 0..=u8::MAX {
            let directory = self.complete.join(format!("{shard:02x}"));
            DirBuilder::new().recursive(true).mode(0o700).create(&directory).at(&directory)?;
        }
        let parent = fs::canonicalize(&self.root).at(&self.root)?;
        for directory in [Some(&*self.complete), Some(&*self.root), parent.parent()].into_iter().flatten() {
            File::open(directory).and_then(|directory| directory.sync_all()).at(directory)?;
        }
        Ok(())
    }

    /// The directory that a digest belongs in.
    pub(super) fn shard(&self, digest: Digest) -> PathBuf {
        self.complete.join(&digest.hex()[..2])
    }

    /// Where content lies that is complete.
    pub(super) fn place(&self, digest: Digest) -> PathBuf {
        self.shard(digest).join(&digest.hex()[2..])
    }

    /// Keeps everybody else, in this process and others, from publishing to and removing from the directory
    /// of a digest while the returned file is open.
    pub(super) fn lock(&self, digest: Digest) -> io::Result<File> {
        let shard = self.shard(digest);
        let directory = File::open(&shard).at(&shard)?;
        directory.lock().at(&shard)?;
        Ok(directory)
    }

    pub(super) fn find(&self, digest: Digest) -> io::Result<Option<Blob>> {
        let place = self.place(digest);
        let found = absent_is_none(fs::symlink_metadata(&place)).at(&place)?;
        Ok(found.and_then(|metadata| describe(digest, &metadata)))
    }

    /// The content and its length.
    pub(super) fn open(&self, digest: Digest) -> io::Result<Option<(File, u64)>> {
        if self.find(digest)?.is_none() {
            return Ok(None);
        }
        let place = self.place(digest);
        let Some(file) = absent_is_none(File::open(&place)).at(&place)? else { return Ok(None) };
        let bytes = file.metadata().at(&place)?.len();
        Ok(Some((file, bytes)))
    }

    pub(super) fn remove(&self, digest: Digest, put_before: Timestamp) -> io::Result<()> {
        let _lock = self.lock(digest)?;
        if self.find(digest)?.is_some_and(|blob| blob.put_at < put_before) {
            let place = self.place(digest);
            fs::remove_file(&place).at(&place)?;
        }
        Ok(())
    }

    pub(super) fn list(&self, after: Option<Digest>, limit: usize) -> io::Result<Vec<Blob>> {
        let first = after.map_or(0, |after| after.as_bytes()[0]);
        let mut blobs = Vec::new();
        for shard in first..=u8::MAX {
            if blobs.len() >= limit {
                break;
            }
            let mut digests = self.digests(shard)?;
            digests.retain(|digest| after.is_none_or(|after| *digest > after));
            digests.sort_unstable();
            for digest in digests {
                if blobs.len() >= limit {
                    break;
                }
                blobs.extend(self.find(digest)?);
            }
        }
        Ok(blobs)
    }

    /// The digests that files in a shard are named after.
    fn digests(&self, shard: u8) -> io::Result<Vec<Digest>> {
        let directory = self.complete.join(format!("{shard:02x}"));
        let mut digests = Vec::new();
        for entry in fs::read_dir(&directory).at(&directory)? {
            let name = entry.at(&directory)?.file_name();
            digests.extend(name.to_str().and_then(|name| format!("sha256:{shard:02x}{name}").parse::<Digest>().ok()));
        }
        Ok(digests)
    }
}

/// What a file says of a blob; none if it is no plain file.
fn describe(digest: Digest, metadata: &Metadata) -> Option<Blob> {
    let since_epoch = metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let put_at = Timestamp::EPOCH + since_epoch;
    metadata.is_file().then_some(Blob { digest, bytes: metadata.len(), put_at })
}

/// Sets when a blob was put.
pub(super) fn stamp(file: &File, put_at: Timestamp) -> io::Result<()> {
    file.set_modified(UNIX_EPOCH + put_at.since(Timestamp::EPOCH))
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
