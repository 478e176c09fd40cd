use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::source::{Entry, SourceError, SourceTree};

/// The most bytes of a file that is read to decide.
const MOST_BYTES: u64 = 1 << 20;

/// The files whose content matters.
const READ: [&str; 9] = [
    ".node-version",
    ".nvmrc",
    ".python-version",
    "Procfile",
    "Staticfile",
    "package.json",
    "project.toml",
    "pyproject.toml",
    "runtime.txt",
];

/// What is decided upon: the files of a tree, and the content of the few that say something about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    files: BTreeSet<String>,
    texts: BTreeMap<String, Vec<u8>>,
}

impl Evidence {
    /// The evidence in `tree`. It blocks on the disk for a moment.
    ///
    /// # Errors
    /// `TooLarge` if one of the files that are read has more than 1 MiB; `Unavailable` if the spool of the tree cannot
    /// be read.
    pub fn of(tree: &SourceTree) -> Result<Self, SourceError> {
        let mut evidence = Self::default();
        for (path, entry) in tree.entries() {
            let Entry::File { content, .. } = entry else {
                continue;
            };
            evidence.files.insert(path.as_str().to_owned());
            if !READ.contains(&path.as_str()) {
                continue;
            }
            if content.bytes() > MOST_BYTES {
                let what = format!("`{path}` has {} bytes, and at most {MOST_BYTES} are read", content.bytes());
                return Err(SourceError::TooLarge { what });
            }
            let mut text = Vec::new();
            let failed = |error| SourceError::unavailable("read the spool of a source tree", error);
            tree.open(*content).read_to_end(&mut text).map_err(failed)?;
            evidence.texts.insert(path.as_str().to_owned(), text);
        }
        Ok(evidence)
    }

    /// The same evidence with one more file.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, content: impl AsRef<[u8]>) -> Self {
        let path = path.into();
        self.files.insert(path.clone());
        self.texts.insert(path, content.as_ref().to_vec());
        self
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
