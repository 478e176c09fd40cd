use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flynn_core::name::{AppName, HostPattern, PathPrefix, ProcessName};
use flynn_core::noun::Traffic;
use flynn_core::{AppId, BoxError, JobId, Revision, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rules::Rules;
use crate::table::{Content, HostMatch, Place, RouteSpec, TargetKey, TargetSpec};

/// The format that is written. A reader takes this and older ones.
const FORMAT: u32 = 1;

/// The file that holds the last known table, for a start without the control plane.
#[derive(Debug, Clone)]
pub struct TableFile {
    path: PathBuf,
}

/// A table as it was written down.
#[derive(Debug, Clone)]
pub struct SavedTable {
    /// The revision that it was made from.
    pub revision: Revision,
    /// When the router was last in touch with the control plane.
    pub as_of: Timestamp,
    /// What it held.
    pub content: Content,
}

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableFileError {
    /// The operating system refused.
    #[error("{operation}: {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It does not hold a table. It can only be ignored.
    #[error("read table: {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// A later version of the router wrote it. It can only be ignored.
    #[error("read table: {} has format {found}, this router reads up to {FORMAT}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    revision: Revision,
    as_of: Timestamp,
    targets: Vec<SavedTarget>,
    routes: Vec<SavedRoute>,
}

#[derive(Serialize, Deserialize)]
struct SavedTarget {
    app: AppId,
    process: ProcessName,
    name: AppName,
    maintenance: bool,
    backends: Vec<SavedBackend>,
}

#[derive(Serialize, Deserialize)]
struct SavedBackend {
    job: JobId,
    address: SocketAddr,
}

#[derive(Serialize, Deserialize)]
struct SavedRoute {
    host: HostPattern,
    path: PathPrefix,
    app: AppId,
    process: ProcessName,
    #[serde(default)]
    redirect_https: bool,
}

impl TableFile {
    /// The file at `path`. Its directory has to be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Reads the table; none if there is no file.
    ///
    /// # Errors
    /// Any variant.
    pub fn read(&self) -> Result<Option<SavedTable>, TableFileError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io("read table")(source)),
        };
        let damaged =
            |error: serde_json::Error| TableFileError::Damaged { path: self.path.clone(), source: error.into() };
        let Header { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(TableFileError::Newer { path: self.path.clone(), found: format });
        }
        let document: Document = serde_json::from_slice(&bytes).map_err(damaged)?;
        Ok(Some(document.into()))
    }

    /// Writes the table in place of the one before, so that after a crash at any moment one of the two is there.
    ///
    /// # Errors
    /// `Io`. The file before is still there then.
    pub fn write(&self, table: &SavedTable) -> Result<(), TableFileError> {
        let bytes =
            serde_json::to_vec(&Document::from(table)).map_err(io::Error::from).map_err(self.io("write table"))?;
        let fresh = self.path.with_extension("fresh");
        replace(&self.path, &fresh, &bytes).map_err(self.io("write table"))
    }

    /// Removes the file. It is no error if there is none.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove(&self) -> Result<(), TableFileError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io("remove table")(error)),
            _ => Ok(()),
        }
    }

    fn io(&self, operation: &'static str) -> impl Fn(io::Error) -> TableFileError {
        move |source| TableFileError::Io { operation, path: self.path.clone(), source }
    }
}

/// Writes `bytes` to `fresh` and puts that in the place of `path`, so that a crash leaves one of the two whole.
pub(crate) fn replace(path: &Path, fresh: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(fresh, path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

impl From<&SavedTable> for Document {
    fn from(saved: &SavedTable) -> Self {
        let targets = saved.content.targets().map(|(key, spec)| SavedTarget {
            app: key.app,
            process: key.process.clone(),
            name: spec.name.clone(),
            maintenance: spec.traffic == Traffic::Maintenance,
            backends: spec.backends.iter().map(|(&job, &address)| SavedBackend { job, address }).collect(),
        });
        // The store knows no other rules, and no routes of any host.
        let routes = saved.content.routes().filter_map(|(place, spec)| match &place.host {
            HostMatch::Pattern(host) => Some(SavedRoute {
                host: host.clone(),
                path: place.path.clone(),
                app: spec.target.app,
                process: spec.target.process.clone(),
                redirect_https: spec.rules.redirect_https,
            }),
            HostMatch::Any => None,
        });
        Self {
            format: FORMAT,
            revision: saved.revision,
            as_of: saved.as_of,
            targets: targets.collect(),
            routes: routes.collect(),
        }
    }
}

impl From<Document> for SavedTable {
    fn from(document: Document) -> Self {
        let targets = document.targets.into_iter().map(|target| {
            let traffic = if target.maintenance { Traffic::Maintenance } else { Traffic::Serve };
            let backends = target.backends.into_iter().map(|backend| (backend.job, backend.address)).collect();
            let key = TargetKey { app: target.app, process: target.process };
            (key, TargetSpec { name: target.name, traffic, backends })
        });
        let routes = document.routes.into_iter().map(|route| {
            let target = TargetKey { app: route.app, process: route.process };
            let rules = Rules { redirect_https: route.redirect_https, ..Rules::default() };
            let place = Place { host: route.host.into(), path: route.path };
            (place, RouteSpec { target, rules: Arc::new(rules) })
        });
        Self { revision: document.revision, as_of: document.as_of, content: Content::from_parts(routes, targets) }
    }
}
