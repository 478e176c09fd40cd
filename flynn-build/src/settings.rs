//! What an operator decides about builds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::keys::Key;
use crate::source::Limits;

/// Where Python's tools find packages by themselves: the index and the files it leads to.
const PYTHON: [&str; 2] = [PYTHON_INDEX, "https://files.pythonhosted.org"];
/// The index alone.
pub(crate) const PYTHON_INDEX: &str = "https://pypi.org/simple";
/// Where Go finds modules, and what says that they are the ones that everybody gets.
const GO: [&str; 2] = [GO_PROXY, "https://sum.golang.org"];
/// The first of the two.
pub(crate) const GO_PROXY: &str = "https://proxy.golang.org";
/// Where npm finds packages by itself.
pub(crate) const NPM_REGISTRY: &str = "https://registry.npmjs.org";

/// What an operator decides about builds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where packages come from.
    pub mirrors: Mirrors,
    /// A file of the node with the certificates of the authorities that package registries are signed by, in PEM.
    /// Without one, the base image's own count.
    pub ca_bundle: Option<PathBuf>,
    /// A file of the node that says how names are resolved. Without one, the base image's own counts.
    pub resolv_conf: Option<PathBuf>,
    /// Variables that name proxies, such as `HTTPS_PROXY`; given to every step that has a network.
    pub proxy: BTreeMap<String, String>,
    /// What a source tree may amount to.
    pub source: Limits,
    /// How long a build may take.
    pub time_limit: Duration,
    /// How many builds run at the same time on a node.
    pub parallel: usize,
    /// How many bytes of package caches are kept per app. A larger one is thrown away after the build.
    pub cache_bytes_per_app: u64,
    /// How many bytes of package caches are kept of all apps. The least recently used go first.
    pub cache_bytes: u64,
}

/// Where packages come from. What is not given is the registry that the language's tools know by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// A Python package index (PEP 503), such as `https://pypi.org/simple`.
    pub python_index: Option<String>,
    /// An npm registry, such as `https://registry.npmjs.org`.
    pub npm_registry: Option<String>,
    /// A Go module proxy, such as `https://proxy.golang.org`. With one, the public checksum database is not asked.
    pub go_proxy: Option<String>,
    /// A Debian archive, such as `http://deb.debian.org/debian`.
    pub debian: Option<String>,
}

impl Settings {
    /// The servers that builds get packages from, each a name or address and a port: those of the mirrors and of the
    /// proxies, and of the registries that the tools of languages know by themselves. An index may lead to further
    /// ones, which nobody knows before.
    pub fn servers(&self) -> BTreeSet<(String, u16)> {
        let Mirrors { python_index, npm_registry, go_proxy, debian } = &self.mirrors;
        let python = python_index.as_deref().map_or(PYTHON.to_vec(), |index| vec![index]);
        let npm = npm_registry.as_deref().unwrap_or(NPM_REGISTRY);
        let go = go_proxy.as_deref().map_or(GO.to_vec(), |proxy| vec![proxy]);
        // One of the variables says what is reached without them.
        let proxies = self.proxy.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("NO_PROXY"));
        let proxies = proxies.map(|(_, proxy)| proxy.as_str());
        let languages = python.into_iter().chain([npm]).chain(go);
        languages.chain(debian.as_deref()).chain(proxies).filter_map(server).collect()
    }
}

/// The host and port of a URL.
fn server(url: &str) -> Option<(String, u16)> {
    let url: http::Uri = url.parse().ok()?;
    let usual = if url.scheme_str() == Some("https") { 443 } else { 80 };
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), url.port_u16().unwrap_or(usual)))
}

impl Default for Settings {
    /// 15 minutes a build, two builds at a time, 2 GiB of caches an app and 10 GiB together, no mirrors.
    fn default() -> Self {
        Self {
            mirrors: Mirrors::default(),
            ca_bundle: None,
            resolv_conf: None,
            proxy: BTreeMap::new(),
            source: Limits::default(),
            time_limit: Duration::from_secs(15 * 60),
            parallel: 2,
            cache_bytes_per_app: 2 << 30,
            cache_bytes: 10 << 30,
        }
    }
}

impl Mirrors {
    /// Adds to `key` where packages come from, since other places may have others.
    pub(crate) fn add_to(&self, key: Key) -> Key {
        let Self { python_index, npm_registry, go_proxy, debian } = self;
        let mirrors = [
            ("python index", python_index),
            ("npm registry", npm_registry),
            ("go proxy", go_proxy),
            ("debian", debian),
        ];
        mirrors
            .into_iter()
            .filter_map(|(name, mirror)| mirror.as_ref().map(|mirror| (name, mirror)))
            .fold(key, |key, (name, mirror)| key.with(name, mirror))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(settings: &Settings) -> Vec<String> {
        settings.servers().into_iter().map(|(host, port)| format!("{host}:{port}")).collect()
    }

    #[test]
    fn the_servers_of_builds_are_known_by_name() {
        let mut settings = Settings::default();
        let usual = [
            "files.pythonhosted.org:443",
            "proxy.golang.org:443",
            "pypi.org:443",
            "registry.npmjs.org:443",
            "sum.golang.org:443",
        ];
        assert_eq!(servers(&settings), usual);
        settings.mirrors = Mirrors {
            python_index: Some("https://user:secret@packages.test/simple".into()),
            npm_registry: Some("http://10.0.0.7:4873/".into()),
            go_proxy: Some("https://go.test".into()),
            debian: Some("http://mirror.test/debian".into()),
        };
        settings.proxy =
            [("HTTPS_PROXY".into(), "http://proxy.test:3128".into()), ("NO_PROXY".into(), "localhost,.test".into())]
                .into();
        let expected = ["10.0.0.7:4873", "go.test:443", "mirror.test:80", "packages.test:443", "proxy.test:3128"];
        assert_eq!(servers(&settings), expected);
    }
}
