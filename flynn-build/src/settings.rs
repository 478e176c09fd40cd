//! What an operator decides about builds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::keys::Key;
use crate::source::Limits;

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
    /// A Debian archive, such as `http://deb.debian.org/debian`.
    pub debian: Option<String>,
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
        let Self { python_index, npm_registry, debian } = self;
        [("python index", python_index), ("npm registry", npm_registry), ("debian", debian)]
            .into_iter()
            .filter_map(|(name, mirror)| mirror.as_ref().map(|mirror| (name, mirror)))
            .fold(key, |key, (name, mirror)| key.with(name, mirror))
    }
}
