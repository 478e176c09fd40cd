use std::path::PathBuf;
use std::time::Duration;

use super::{BaseKind, MakeError};

/// Where base images come from and where they are recorded.
#[derive(Debug, Clone)]
pub struct BaseSettings {
    /// A folder for records, logs and temporary files, of several GiB; made if it is missing. No other process uses
    /// it at the same time.
    pub directory: PathBuf,
    /// Where the run image comes from.
    pub run: BaseSource,
    /// Where the build image comes from.
    pub build: BaseSource,
    /// How packages become an image.
    pub mmdebstrap: Mmdebstrap,
    /// How old an image gets before it is made again of the packages of that day, so that security updates reach
    /// it. The old one is used meanwhile. An image of the same packages has the same digest.
    pub renew_after: Duration,
    /// The time between a failure and the next attempt, doubled each time up to a hundred times this.
    pub patience: Duration,
}

/// Where a base image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseSource {
    /// It is made of Debian's packages.
    Debian,
    /// A tar archive, plain or compressed by gzip, of a root file system that has what the [`Recipe`](super::Recipe)
    /// of this image has. It is never renewed, but read again when the file has changed.
    Archive(PathBuf),
}

/// The program `mmdebstrap` and what it takes packages from.
#[derive(Debug, Clone)]
pub struct Mmdebstrap {
    /// The program.
    pub program: PathBuf,
    /// The suite of Debian.
    pub suite: String,
    /// The URL of a mirror.
    pub mirror: String,
    /// The URL of a mirror of security updates; none for a mirror that has none.
    pub security_mirror: Option<String>,
    /// A file of certificates that an https mirror is trusted by, in place of the system's.
    pub certificates: Option<PathBuf>,
    /// The URL of an HTTP proxy. It may hold a password: it is written to a file of this machine, never to an image.
    pub proxy: Option<String>,
    /// How long one image may take.
    pub limit: Duration,
}

impl BaseSettings {
    /// Both images of the packages of Debian 13, renewed after a week, half an hour for each, ten seconds of patience.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            run: BaseSource::Debian,
            build: BaseSource::Debian,
            mmdebstrap: Mmdebstrap::default(),
            renew_after: Duration::from_secs(7 * 24 * 3_600),
            patience: Duration::from_secs(10),
        }
    }

    pub(super) fn source(&self, kind: BaseKind) -> &BaseSource {
        match kind {
            BaseKind::Run => &self.run,
            BaseKind::Build => &self.build,
        }
    }

    pub(super) fn check(&self) -> Result<(), MakeError> {
        let invalid = |problem| Err(MakeError::Invalid { operation: "open base images", problem });
        let Mmdebstrap { program, suite, mirror, security_mirror, certificates, .. } = &self.mmdebstrap;
        for (name, path) in [
            ("directory", Some(&self.directory)),
            ("mmdebstrap", Some(program)),
            ("certificates", certificates.as_ref()),
        ] {
            let Some(path) = path else { continue };
            // The folder's path becomes a part of a command that mmdebstrap gives to a shell if it looks like one.
            let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
            if !path.is_absolute() || !path.to_str().is_some_and(|path| path.chars().all(plain)) {
                let problem = format!("{name} is an absolute path of plain characters, and {} is not", path.display());
                return invalid(problem);
            }
        }
        for (name, word) in
            [("suite", Some(suite)), ("mirror", Some(mirror)), ("security mirror", security_mirror.as_ref())]
        {
            let plain = |c: char| c.is_ascii_graphic() && !"[]#\"'\\".contains(c);
            if word.is_some_and(|word| word.is_empty() || !word.chars().all(plain)) {
                return invalid(format!("the {name} is one word without quotes or brackets"));
            }
        }
        Ok(())
    }
}

impl Default for Mmdebstrap {
    fn default() -> Self {
        Self {
            program: PathBuf::from("/usr/bin/mmdebstrap"),
            suite: String::from("trixie"),
            mirror: String::from("http://deb.debian.org/debian"),
            security_mirror: Some(String::from("http://deb.debian.org/debian-security")),
            certificates: None,
            proxy: None,
            limit: Duration::from_secs(1_800),
        }
    }
}
