use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context;

use crate::Names;

/// Where an instance keeps its data where nothing else is said.
pub const DEFAULT_DATA: &str = "/var/lib/flynn";
/// Where an instance has its sockets where nothing else is said.
pub const DEFAULT_RUN: &str = "/run/flynn";

/// Where the files of an instance are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    data: PathBuf,
    run: PathBuf,
    names: Names,
}

impl Layout {
    /// The layout below `data`, with sockets in `run`. An instance with other data than the default has its sockets in
    /// a folder of its own if `run` is not given. Nothing is made.
    ///
    /// # Errors
    /// A path cannot be made absolute.
    pub fn new(data: &Path, run: Option<&Path>) -> anyhow::Result<Self> {
        let data = settle(data).with_context(|| format!("the data directory {} cannot be found", data.display()))?;
        let names = Names::of(&data);
        let run = match run {
            Some(run) => settle(run).with_context(|| format!("the directory {} cannot be found", run.display()))?,
            None if data == Path::new(DEFAULT_DATA) => PathBuf::from(DEFAULT_RUN),
            None => Path::new(DEFAULT_RUN).join(names.to_string()),
        };
        Ok(Self { data, run, names })
    }

    /// What things are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The directory of sockets and of what says who runs.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The store's file.
    pub fn store(&self) -> PathBuf {
        self.data.join("store.db")
    }

    /// The key file.
    pub fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }

    /// The directory of blobs.
    pub fn blobs(&self) -> PathBuf {
        self.data.join("blobs")
    }

    /// The folder of git repositories.
    pub fn repositories(&self) -> PathBuf {
        self.data.join("repositories")
    }

    /// Where sources are kept while they are taken in.
    pub fn spool(&self) -> PathBuf {
        self.data.join("spool")
    }

    /// Where the logs of the instance's own processes are.
    pub fn log(&self) -> PathBuf {
        self.data.join("log")
    }

    /// The directory that belongs to the router: its token, its last table and its access log.
    pub fn router(&self) -> PathBuf {
        self.data.join("router")
    }

    /// The router's token.
    pub fn router_token(&self) -> PathBuf {
        self.router().join("token")
    }

    /// Where the router writes a line for each request.
    pub fn access_log(&self) -> PathBuf {
        self.router().join("access.log")
    }

    /// The directory that belongs to the node: images, containers, networks, logs.
    pub fn node(&self) -> PathBuf {
        self.data.join("node")
    }

    /// A file of no content that is given up when the data disk is full, so that the control plane has room to start.
    pub fn ballast(&self) -> PathBuf {
        self.data.join("ballast")
    }

    /// The post of the control plane, in the data directory, since that is what there is one of.
    pub fn control_post(&self) -> PathBuf {
        self.data.join("flynnd.lock")
    }

    /// The post of another process of the instance.
    pub fn post(&self, program: &str) -> PathBuf {
        self.run.join(format!("{program}.lock"))
    }

    /// The socket of the control plane.
    pub fn socket(&self) -> PathBuf {
        self.run.join("flynnd.sock")
    }

    /// The folder of git's hook. It is not beside the socket, since systemd lets nobody run what is in `/run`.
    pub fn hooks(&self) -> PathBuf {
        self.data.join("hooks")
    }

    /// The folder of git's socket.
    pub fn git(&self) -> PathBuf {
        self.run.join("git")
    }
}

/// The path without symbolic links, as far as it is there.
fn settle(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut there = path.as_path();
    loop {
        match fs::canonicalize(there) {
            Ok(real) => {
                let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
                // Joining an empty path would add a slash.
                return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match there.parent() {
                Some(parent) => there = parent,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_name_before_and_after_it_is_made_and_over_links() {
        let folder = tempfile::tempdir().unwrap();
        let (data, link) = (folder.path().join("data"), folder.path().join("link"));
        let before = Layout::new(&data, None).unwrap();
        fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, &link).unwrap();
        assert_eq!(Layout::new(&data, None).unwrap(), before);
        assert_eq!(Layout::new(&link, None).unwrap(), before);
        assert_eq!(before.run(), Path::new(DEFAULT_RUN).join(before.names().to_string()));
    }

    #[test]
    fn the_default_instance_has_the_plain_paths() {
        let layout = Layout::new(Path::new(DEFAULT_DATA), None).unwrap();
        if layout.data() == Path::new(DEFAULT_DATA) {
            assert_eq!(layout.socket(), Path::new("/run/flynn/flynnd.sock"));
        }
        let layout = Layout::new(Path::new("/nowhere/a"), Some(Path::new("/nowhere/b"))).unwrap();
        assert_eq!(layout.run(), Path::new("/nowhere/b"));
    }
}
