use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::source::{Entry, SourceError, SourceTree};

/// The most bytes of a file that is read to decide.
const MOST_BYTES: u64 = 1 << 20;
/// The most bytes of a lock that is looked through.
const MOST_LOCK_BYTES: u64 = 64 << 20;
/// How much is kept of a file whose beginning says enough.
const HEAD: usize = 64 << 10;

/// The files whose content matters.
const READ: [&str; 13] = [
    ".node-version",
    ".nvmrc",
    ".python-version",
    ".yarnrc.yml",
    "Pipfile",
    "Procfile",
    "Staticfile",
    "go.mod",
    "package.json",
    "project.toml",
    "pyproject.toml",
    "runtime.txt",
    "manage.py",
];
/// The files whose beginning says enough.
const LOOKED_INTO: [&str; 14] = [
    "api/main.py",
    "app.py",
    "app/__init__.py",
    "app/app.py",
    "app/main.py",
    "application.py",
    "asgi.py",
    "index.py",
    "main.py",
    "server.py",
    "src/app.py",
    "src/main.py",
    "src/__init__.py",
    "wsgi.py",
];
/// What tools write, of which only the format and the marks of an unfinished merge matter.
const LOCKS: [&str; 7] = [
    "Pipfile.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "yarn.lock",
];

/// What is decided upon: the files of a tree, and the content of the few that say something about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    files: BTreeSet<String>,
    texts: BTreeMap<String, Vec<u8>>,
    conflicts: BTreeSet<String>,
}

impl Evidence {
    /// The evidence in `tree`. It blocks on the disk for a moment.
    ///
    /// # Errors
    /// `TooLarge` if one of the files that are read has more than 1 MiB, or a lock more than 64 MiB; `Unavailable` if
    /// the spool of the tree cannot be read.
    pub fn of(tree: &SourceTree) -> Result<Self, SourceError> {
        let mut evidence = Self::default();
        for (path, entry) in tree.entries() {
            let Entry::File { content, .. } = entry else {
                continue;
            };
            evidence.files.insert(path.as_str().to_owned());
            let most = match path.as_str() {
                path if READ.contains(&path) => MOST_BYTES,
                path if LOCKS.contains(&path) => MOST_LOCK_BYTES,
                path if LOOKED_INTO.contains(&path) => u64::MAX,
                _ => continue,
            };
            if content.bytes() > most {
                let what = format!("`{path}` has {} bytes, and at most {most} are read", content.bytes());
                return Err(SourceError::TooLarge { what });
            }
            let most = if most == u64::MAX { HEAD as u64 } else { most };
            let mut text = Vec::new();
            let failed = |error| SourceError::unavailable("read the spool of a source tree", error);
            tree.open(*content).take(most).read_to_end(&mut text).map_err(failed)?;
            evidence = evidence.with(path.as_str(), text);
        }
        Ok(evidence)
    }

    /// The same evidence with one more file.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, content: impl AsRef<[u8]>) -> Self {
        let (path, content) = (path.into(), content.as_ref());
        self.files.insert(path.clone());
        let is_lock = LOCKS.contains(&path.as_str());
        if is_lock && content.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"<<<<<<< ")) {
            self.conflicts.insert(path.clone());
        }
        let kept = if is_lock { HEAD } else { content.len() };
        self.texts.insert(path, content.iter().copied().take(kept).collect());
        self
    }

    /// Whether a lock has the marks of a merge that was not finished.
    pub(super) fn has_conflict(&self, lock: &str) -> bool {
        self.conflicts.contains(lock)
    }

    /// The beginning of a file; nothing if there is no such file.
    pub(super) fn head(&self, path: &str) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes(path).unwrap_or_default())
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    pub(super) fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.texts.get(path).map(Vec::as_slice)
    }

    /// The content of a file; none if there is no such file, an error if it is not UTF-8.
    pub(super) fn text(&self, path: &str) -> Result<Option<&str>, String> {
        let Some(bytes) = self.bytes(path) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes).map_err(|_| String::from("it is not UTF-8: save it as UTF-8"))?;
        // Editors of some systems put a byte order mark in front.
        Ok(Some(text.strip_prefix('\u{feff}').unwrap_or(text)))
    }
}
