use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::ConfigFault;
use super::certificates::Named;
use super::parse::{content, document};
use crate::table::{Content, ShardedTable};
#[cfg(feature = "tls")]
use crate::tls::CertificateTable;

/// Why a configuration was not taken. What was there before still holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read the configuration {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}:{fault}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What, and where.
        fault: ConfigFault,
    },
}

/// Keeps a table equal to a file. A file with a fault changes nothing.
#[derive(Debug)]
pub struct ConfigFollower {
    path: PathBuf,
    table: Arc<ShardedTable>,
    interval: Duration,
    content: Content,
    /// The file that was read last, whether it was taken or not.
    seen: Option<Seen>,
    named: Named,
}

/// What a change of a file is seen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    number: u64,
    length: u64,
    modified: (i64, i64),
}

#[derive(Debug)]
struct Seen {
    /// Those of the file and of all that it names. None if one is not there.
    stamps: Vec<Option<Stamp>>,
    hash: u64,
    /// Whether they had these stamps when they were looked at before. Two changes within one tick of the file system's
    /// clock have the same stamp, so that a fresh one is read again.
    settled: bool,
}

impl ConfigFollower {
    /// A follower of the file at `path` that writes `table`. Nothing else may write it.
    pub fn new(path: impl Into<PathBuf>, table: Arc<ShardedTable>) -> Self {
        let interval = Duration::from_secs(1);
        Self { path: path.into(), table, interval, content: Content::default(), seen: None, named: Named::default() }
    }

    /// Takes certificates as well, and writes them to `table`, which nothing else may write. Without it a configuration
    /// that has some is refused.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_certificates(mut self, table: Arc<CertificateTable>) -> Self {
        self.named = Named::in_table(table);
        self
    }

    /// With another time between two looks at the file than a second.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Reads the file and makes the table equal to it. Says whether anything changed.
    ///
    /// # Errors
    /// Any variant.
    pub async fn load(&mut self) -> Result<bool, ConfigError> {
        let failed = |path: &PathBuf, source| ConfigError::Io { path: path.clone(), source };
        let stamps = self.stamps().await;
        let settled = self.seen.as_ref().is_some_and(|seen| seen.stamps == stamps);
        if settled && self.seen.as_ref().is_some_and(|seen| seen.settled) {
            return Ok(false);
        }
        let text = tokio::fs::read_to_string(&self.path).await.map_err(|error| failed(&self.path, error))?;
        let document = document(&text);
        if let Ok(document) = &document {
            self.named.look(document, self.path.parent().unwrap_or(Path::new(""))).await;
        }
        let hash = self.hash(&text);
        let before = self.seen.replace(Seen { stamps, hash, settled });
        if before.is_some_and(|before| before.hash == hash) {
            return Ok(false);
        }
        let checked = document.and_then(|document| {
            self.named.check(&document)?;
            content(document)
        });
        let content =
            checked.map_err(|fault| ConfigError::Invalid { path: self.path.clone(), fault: fault.locate(&text) })?;
        let changes = content.changes_from(&self.content);
        let changed = !changes.is_empty();
        self.table.apply(changes);
        self.content = content;
        Ok(self.named.apply() || changed)
    }

    /// Those of the configuration and of the files that it named last.
    async fn stamps(&self) -> Vec<Option<Stamp>> {
        let mut stamps = Vec::new();
        for file in [&self.path].into_iter().chain(self.named.files()) {
            stamps.push(tokio::fs::metadata(file).await.ok().map(|file| Stamp::of(&file)));
        }
        stamps
    }

    fn hash(&self, text: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        self.named.hash(&mut hasher);
        hasher.finish()
    }

    /// Follows the file until `stop`. A change is taken once the file stays the same from one look to the next,
    /// so that one that is half written is not. What is wrong with it is logged once.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let (mut failing, mut looked) = (None, None);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = sleep(self.interval) => {}
            }
            let stamps = Some(self.stamps().await);
            if looked != stamps {
                looked = stamps;
                continue;
            }
            match self.load().await {
                Ok(true) => {
                    tracing::info!(routes = self.content.routes().count(), "configuration: taken");
                    failing = None;
                }
                // A file that has not changed since is as good or bad as it was.
                Ok(false) => {}
                Err(error) => {
                    let what = error.to_string();
                    if failing.as_ref() != Some(&what) {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "configuration: not taken, the one before still holds"
                        );
                        failing = Some(what);
                    }
                }
            }
        }
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        let modified = (file.mtime(), file.mtime_nsec());
        Self { device: file.dev(), number: file.ino(), length: file.len(), modified }
    }
}
