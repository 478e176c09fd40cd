//! Reading the tree of a commit.
//!
//! Stock git does it, the same that has checked the objects: `ls-tree` says what is there, `cat-file` gives the
//! bytes. `git archive` would do with one process, but rewrites content as `.gitattributes` of the pusher says, leaves
//! files out and shows submodules as empty folders. A library in this process would put a parser of hostile packs
//! beside the secrets of the service.

use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::CommitId;
use super::command::{Git, with_args};
use crate::source::{Intake, SourceError, SourceTree, TreeBuilder, TreePath};

/// The first line of a file that stands for another, kept elsewhere by git-lfs.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// Pointers of git-lfs are shorter than this.
const MOST_POINTER_BYTES: u64 = 1_024;
/// A line of `ls-tree` is a path and some 80 bytes more.
const MOST_LINE: u64 = 8 << 10;

const READ: &str = "read commit";

/// Reads the tree of `commit`. It blocks.
pub(super) fn read(
    git: &Git,
    repository: &Path,
    commit: &CommitId,
    intake: &Intake,
) -> Result<SourceTree, SourceError> {
    let files = list(git, repository, commit, intake)?;
    let mut tree = TreeBuilder::new(intake)?;
    let mut ids = tempfile::tempfile_in(&intake.spool).map_err(failed)?;
    let wanted: String = files.iter().map(|file| format!("{}\n", file.id)).collect();
    ids.write_all(wanted.as_bytes()).and_then(|()| ids.rewind()).map_err(failed)?;

    let mut command = with_args(git.command(repository), ["cat-file", "--batch", "--buffer"]);
    command.stdin(ids);
    let mut running = Running::start(command)?;
    let mut output = running.output()?;
    for file in files {
        expect_header(&mut output, &file)?;
        let mut content = (&mut output).take(file.bytes);
        match file.kind {
            FileKind::Symlink => {
                let mut target = Vec::new();
                content.read_to_end(&mut target).map_err(failed)?;
                let target = String::from_utf8(target)
                    .map_err(|_| SourceError::invalid(file.path.as_str(), "the target of the symlink is not UTF-8"))?;
                tree.symlink(file.path, target)?;
            }
            FileKind::Regular { executable } if file.bytes < MOST_POINTER_BYTES => {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes).map_err(failed)?;
                if bytes.starts_with(LFS_POINTER) {
                    let problem = "it is kept by git-lfs, which is not supported: commit the file itself, \
                                   or let the build fetch it";
                    return Err(SourceError::invalid(file.path.as_str(), problem));
                }
                tree.file(file.path, executable, bytes.len() as u64, &mut bytes.as_slice())?;
            }
            FileKind::Regular { executable } => tree.file(file.path, executable, file.bytes, &mut content)?,
        }
        let mut newline = [0];
        output.read_exact(&mut newline).map_err(failed)?;
    }
    drop(output);
    running.finish()?;
    tree.finish()
}

struct Listed {
    path: TreePath,
    kind: FileKind,
    id: String,
    bytes: u64,
}

#[derive(Clone, Copy)]
enum FileKind {
    Regular { executable: bool },
    Symlink,
}

/// All files of a commit. It stops as soon as there are too many, since a tree can name the same subtree a billion
/// times in a few hundred bytes.
fn list(git: &Git, repository: &Path, commit: &CommitId, intake: &Intake) -> Result<Vec<Listed>, SourceError> {
    let args = ["ls-tree", "-r", "-l", "-z", "--full-tree", commit.as_str()];
    let mut running = Running::start(with_args(git.command(repository), args))?;
    let mut output = running.output()?;
    let mut files = Vec::new();
    let mut bytes = 0_u64;
    loop {
        let mut line = Vec::new();
        (&mut output).take(MOST_LINE).read_until(0, &mut line).map_err(failed)?;
        if line.is_empty() {
            break;
        }
        if line.pop() != Some(0) {
            return Err(SourceError::invalid(&String::from_utf8_lossy(&line), "its path is too long"));
        }
        let file = parse(&line)?;
        bytes = bytes.saturating_add(file.bytes);
        files.push(file);
        if files.len() > intake.limits.entries {
            let what = format!("more than {} files", intake.limits.entries);
            return Err(SourceError::TooLarge { what });
        }
        if bytes > intake.limits.total_bytes {
            let what = format!("the files have more than {} bytes together", intake.limits.total_bytes);
            return Err(SourceError::TooLarge { what });
        }
    }
    drop(output);
    match running.finish() {
        Err(SourceError::Unavailable { .. }) if files.is_empty() => {
            Err(SourceError::NotFound { operation: READ, what: format!("commit {commit}") })
        }
        Err(error) => Err(error),
        Ok(()) => Ok(files),
    }
}

/// Reads `MODE TYPE ID SIZE\tPATH`.
fn parse(line: &[u8]) -> Result<Listed, SourceError> {
    let odd = || SourceError::unavailable(READ, "git ls-tree printed something unexpected");
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(odd)?;
    let (fields, path) = (line.get(..tab).unwrap_or_default(), line.get(tab + 1..).unwrap_or_default());
    let fields = std::str::from_utf8(fields).map_err(|_| odd())?;
    let path = std::str::from_utf8(path)
        .map_err(|_| SourceError::invalid(&String::from_utf8_lossy(path), "its name is not UTF-8"))?;
    let mut fields = fields.split_ascii_whitespace();
    let (Some(mode), Some(_), Some(id), Some(size)) = (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(odd());
    };
    let kind = match mode {
        // Early versions of git wrote the mode of the file itself.
        "100644" | "100664" => FileKind::Regular { executable: false },
        "100755" => FileKind::Regular { executable: true },
        "120000" => FileKind::Symlink,
        "160000" => {
            let problem = "it is a submodule, which is not supported: commit its files, or let the build fetch it";
            return Err(SourceError::invalid(path, problem));
        }
        _ => return Err(SourceError::invalid(path, format!("its mode {mode} is not known"))),
    };
    let bytes = size.parse().map_err(|_| odd())?;
    let path = TreePath::new(path).map_err(|problem| SourceError::invalid(path, problem))?;
    Ok(Listed { path, kind, id: id.to_owned(), bytes })
}

/// Reads `ID blob SIZE\n`.
fn expect_header(output: &mut impl BufRead, file: &Listed) -> Result<(), SourceError> {
    let mut line = Vec::new();
    output.take(200).read_until(b'\n', &mut line).map_err(failed)?;
    if line == format!("{} blob {}\n", file.id, file.bytes).as_bytes() {
        return Ok(());
    }
    Err(SourceError::unavailable(READ, format!("git cat-file has no {} for `{}`", file.id, file.path)))
}

/// A git process that does not outlive the reading of what it prints.
struct Running {
    child: Child,
}

impl Running {
    fn start(mut command: Command) -> Result<Self, SourceError> {
        command.stderr(Stdio::null());
        Ok(Self { child: command.spawn().map_err(failed)? })
    }

    fn output(&mut self) -> Result<BufReader<impl Read + use<>>, SourceError> {
        let stdout = self.child.stdout.take();
        stdout
            .map(|stdout| BufReader::with_capacity(64 << 10, stdout))
            .ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))
    }

    fn finish(mut self) -> Result<(), SourceError> {
        let status = self.child.wait().map_err(failed)?;
        if status.success() { Ok(()) } else { Err(SourceError::unavailable(READ, format!("git: {status}"))) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both do nothing to a child that has been awaited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failed(error: io::Error) -> SourceError {
    SourceError::unavailable(READ, error)
}
