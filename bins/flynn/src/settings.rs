//! The clusters that the user knows, and the tokens for them, in one file that nobody else can read.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use flynn_core::TokenSecret;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::failure::Failure;

/// A cluster under the name that the user gave it.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// `http://HOST:PORT` or `unix:///PATH`, without a slash at its end.
    pub(crate) url: String,
    pub(crate) token: Option<TokenSecret>,
}

/// The clusters that the user knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    default: Option<String>,
    clusters: Vec<Cluster>,
}

/// The file of [`Settings`].
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<String>,
    #[serde(default, rename = "cluster")]
    clusters: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Settings {
    /// Reads the file; one that is not there has no clusters.
    ///
    /// # Errors
    /// It cannot be read or is not a file of clusters.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::failed(format!("cannot read {shown}: {error}"))),
        };
        Self::parse(&text).map_err(|problem| {
            Failure::failed(format!("cannot read {shown}: {problem}; correct the file, or remove it and log in again"))
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The error of the parser would quote the line, which may hold a token.
        let document: Document = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let mut clusters = Vec::new();
        for Entry { name, url, token } in document.clusters {
            let token = token.map(|token| token.parse::<TokenSecret>()).transpose();
            let token = token.map_err(|error| format!("the token of cluster `{name}` is {error}"))?;
            clusters.push(Cluster { name, url, token });
        }
        Ok(Self { default: document.default, clusters })
    }

    fn print(&self) -> Result<String, toml::ser::Error> {
        let clusters = self.clusters.iter().map(|cluster| Entry {
            name: cluster.name.clone(),
            url: cluster.url.clone(),
            token: cluster.token.as_ref().map(|token| token.reveal().to_owned()),
        });
        toml::to_string(&Document { default: self.default.clone(), clusters: clusters.collect() })
    }

    /// Writes the file with mode 0600. Whoever reads it meanwhile sees what was there before or what is there after.
    ///
    /// # Errors
    /// It cannot be written; what was there is untouched.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |problem: String| Failure::failed(format!("cannot write {}: {problem}", path.display()));
        let text = self.print().map_err(|error| failed(error.to_string()))?;
        let folder =
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(PathBuf::from("."), Into::into);
        let write = || -> std::io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let mut file = NamedTempFile::with_prefix_in(".clusters-", &folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            Ok(())
        };
        write().map_err(|error| failed(error.to_string()))
    }

    /// All clusters, in the order in which they were added.
    pub(crate) fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// The cluster to use where none is named: the default, or the only one.
    pub(crate) fn preferred(&self) -> Option<&Cluster> {
        match (&self.default, self.clusters.as_slice()) {
            (Some(name), _) => self.get(name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// The cluster with this URL.
    pub(crate) fn at(&self, url: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.url == url)
    }

    /// Adds a cluster, or replaces the one of this name. The first becomes the default.
    pub(crate) fn put(&mut self, cluster: Cluster) {
        if self.clusters.is_empty() {
            self.default = Some(cluster.name.clone());
        }
        match self.clusters.iter_mut().find(|present| present.name == cluster.name) {
            Some(present) => *present = cluster,
            None => self.clusters.push(cluster),
        }
    }

    /// Makes a cluster the default.
    ///
    /// # Errors
    /// It is not known.
    pub(crate) fn set_default(&mut self, name: &str) -> Result<(), Failure> {
        if self.get(name).is_none() {
            return Err(unknown(name));
        }
        self.default = Some(name.to_owned());
        Ok(())
    }

    /// Forgets a cluster and its token.
    ///
    /// # Errors
    /// It is not known.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Failure> {
        let before = self.clusters.len();
        self.clusters.retain(|cluster| cluster.name != name);
        if self.clusters.len() == before {
            return Err(unknown(name));
        }
        self.default.take_if(|default| default == name);
        Ok(())
    }
}

/// A cluster that nobody added.
pub(crate) fn unknown(name: &str) -> Failure {
    Failure::not_found(format!("there is no cluster `{name}` here; see `flynn cluster list`, or add it"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn cluster(name: &str, bits: u8) -> Cluster {
        let url = format!("http://{name}.example:7700");
        Cluster { name: name.into(), url, token: Some(TokenSecret::from_bits(&[bits; 32])) }
    }

    #[test]
    fn what_was_written_is_read_again_and_nobody_else_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/clusters.toml");
        assert!(Settings::read(&path).unwrap().clusters().is_empty());
        let mut settings = Settings::default();
        settings.put(cluster("a", 1));
        settings.put(Cluster { token: None, ..cluster("b", 2) });
        settings.write(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

        let read = Settings::read(&path).unwrap();
        assert_eq!(read.print().unwrap(), settings.print().unwrap());
        assert_eq!(read.get("a").unwrap().token.as_ref().unwrap().reveal(), TokenSecret::from_bits(&[1; 32]).reveal());
        assert_eq!(read.at("http://b.example:7700").unwrap().name, "b");
        assert!(!format!("{read:?}").contains("BAQEB"), "a token is shown");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        read.write(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn the_default_is_the_first_until_it_is_changed_or_gone() {
        let mut settings = Settings::default();
        assert!(settings.preferred().is_none());
        settings.put(cluster("a", 1));
        settings.put(cluster("b", 2));
        settings.put(cluster("c", 3));
        assert_eq!(settings.preferred().unwrap().name, "a");
        settings.set_default("b").unwrap();
        assert_eq!(settings.preferred().unwrap().name, "b");
        settings.remove("b").unwrap();
        assert!(settings.preferred().is_none(), "two are left and none was chosen");
        settings.remove("a").unwrap();
        assert_eq!(settings.preferred().unwrap().name, "c");
        assert_eq!(settings.remove("a").unwrap_err().code(), 3);
        assert_eq!(settings.set_default("a").unwrap_err().code(), 3);
    }

    #[test]
    fn a_damaged_file_is_named_and_its_tokens_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clusters.toml");
        let secret = TokenSecret::from_bits(&[7; 32]).reveal().replacen("Bw", "wB", 1);
        for text in [
            format!("[[cluster]]\nname = 'a'\nurl = 'u'\ntoken = '{secret}'\n"),
            format!("[[cluster]]\nname = 'a'\nurl = 'u'\ntoken = '{secret}\n"),
            format!("[[cluster]]\nname = 'a'\nurl = 'u'\ntoken = '{secret}'\nother = 1\n"),
        ] {
            fs::write(&path, text).unwrap();
            let line = Settings::read(&path).unwrap_err().line();
            assert!(line.contains(path.to_str().unwrap()) && !line.contains("wBcH"), "{line}");
        }
    }
}
