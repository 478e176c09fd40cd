//! A directory as a tar archive, without what its ignore files leave out.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};
use tar::{Builder, EntryType, Header, HeaderMode};

use crate::failure::Failure;

/// A packed directory. The file is gone with the value.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) file: File,
    /// The length of the file in bytes.
    pub(crate) bytes: u64,
    /// How many files and links are inside.
    pub(crate) files: usize,
}

/// Packs `directory`: what `.flynnignore` and `.gitignore` do not leave out, without `.git`, in the order of names, so
/// that the same content gives the same bytes. Links are packed as links.
///
/// # Errors
/// Something cannot be read, or there is nothing to pack.
pub(crate) fn pack(directory: &Path) -> Result<Archive, Failure> {
    let refused = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::failed(format!("cannot pack {}: {error}", path.display()))
    };
    let whole = fs::metadata(directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::not_found(format!("there is no directory {}", directory.display())),
        _ => refused(directory, &error),
    })?;
    if !whole.is_dir() {
        return Err(Failure::usage(format!(
            "{} is no directory: name the one with the app's source",
            directory.display()
        )));
    }
    let spool = tempfile::tempfile().map_err(|error| refused(directory, &error))?;
    let mut builder = Builder::new(BufWriter::new(spool));
    let mut files = 0;
    for entry in walk(directory) {
        let entry = entry.map_err(|error| refused(directory, &error))?;
        files += usize::from(append(&mut builder, directory, &entry).map_err(|error| refused(entry.path(), &error))?);
    }
    if files == 0 {
        return Err(Failure::failed(format!(
            "there is no file to deploy in {}: it is empty, or its ignore files leave everything out",
            directory.display()
        )));
    }
    let file = builder.into_inner().and_then(|writer| writer.into_inner().map_err(io::IntoInnerError::into_error));
    let mut file = file.map_err(|error| refused(directory, &error))?;
    let bytes = file.metadata().map_err(|error| refused(directory, &error))?.len();
    io::Seek::rewind(&mut file).map_err(|error| refused(directory, &error))?;
    Ok(Archive { file, bytes, files })
}

fn walk(directory: &Path) -> ignore::Walk {
    WalkBuilder::new(directory)
        .hidden(false)
        .ignore(false)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .add_custom_ignore_filename(".flynnignore")
        .follow_links(false)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git")
        .build()
}

/// Adds one entry; whether it is a file or a link. Sockets, pipes and devices are no source and are left out.
fn append<W: Write>(builder: &mut Builder<W>, directory: &Path, entry: &DirEntry) -> io::Result<bool> {
    let Ok(path) = entry.path().strip_prefix(directory) else { return Ok(false) };
    if path.as_os_str().is_empty() {
        return Ok(false);
    }
    let metadata = fs::symlink_metadata(entry.path())?;
    let mut header = Header::new_gnu();
    header.set_metadata_in_mode(&metadata, HeaderMode::Deterministic);
    if metadata.is_dir() {
        header.set_entry_type(EntryType::Directory);
        builder.append_data(&mut header, path, io::empty())?;
        return Ok(false);
    }
    if metadata.is_symlink() {
        let target: PathBuf = fs::read_link(entry.path())?;
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, path, target)?;
        return Ok(true);
    }
    if !metadata.is_file() {
        return Ok(false);
    }
    header.set_mode(if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 });
    let file = File::open(entry.path())?;
    builder.append_data(&mut header, path, Exactly { file, left: metadata.len() })?;
    Ok(true)
}

/// As many bytes as the header says: a file that changes meanwhile must not break the archive.
struct Exactly {
    file: File,
    left: u64,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::other("the file became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(directory: &Path) -> Vec<String> {
        let mut archive = tar::Archive::new(pack(directory).unwrap().file);
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn ignore_files_and_the_repository_itself_stay_behind() {
        let directory = tree(&[
            ("Procfile", "web: ./run"),
            (".env.example", ""),
            (".git/HEAD", "ref"),
            (".gitignore", "*.pyc\ndist/\n"),
            (".flynnignore", "docs\n!dist/\n"),
            ("a.pyc", ""),
            ("dist/site.css", ""),
            ("docs/a.md", ""),
            ("src/.gitignore", "local\n"),
            ("src/local", ""),
            ("src/main.py", ""),
        ]);
        assert_eq!(
            paths(directory.path()),
            [
                ".env.example",
                ".flynnignore",
                ".gitignore",
                "Procfile",
                "dist",
                "dist/site.css",
                "src",
                "src/.gitignore",
                "src/main.py"
            ]
        );
    }

    #[test]
    fn modes_links_and_contents_arrive_and_the_same_content_gives_the_same_bytes() {
        let directory = tree(&[("run", "#!/bin/sh\n"), ("data/long", &"x".repeat(100_000))]);
        fs::set_permissions(directory.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("data/long", directory.path().join("link")).unwrap();
        let bytes = || {
            let mut bytes = Vec::new();
            let mut archive = pack(directory.path()).unwrap();
            archive.file.read_to_end(&mut bytes).unwrap();
            assert_eq!((bytes.len() as u64, archive.files), (archive.bytes, 3));
            bytes
        };
        let first = bytes();
        fs::File::open(directory.path().join("run")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert!(first == bytes());

        let out = tempfile::tempdir().unwrap();
        tar::Archive::new(first.as_slice()).unpack(out.path()).unwrap();
        assert_eq!(fs::read_to_string(out.path().join("link")).unwrap().len(), 100_000);
        assert_eq!(fs::metadata(out.path().join("run")).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn what_cannot_be_deployed_is_said() {
        let empty = tree(&[(".git/HEAD", "ref")]);
        assert_eq!(pack(empty.path()).unwrap_err().code(), 1);
        assert_eq!(pack(&empty.path().join("none")).unwrap_err().code(), 3);
        assert_eq!(pack(&empty.path().join(".git/HEAD")).unwrap_err().code(), 2);
    }
}
