use std::collections::BTreeMap;
use std::path::PathBuf;

use flynn_core::port::Mount;
use flynn_core::value::Digest;

use crate::base::BaseImage;
use crate::image::OWNER;

/// A command to run in a sandbox.
///
/// It sees these directories beside those of its layers, none of which becomes part of what it makes:
///
/// | Directory | What it is |
/// |---|---|
/// | `/cache` | kept from build to build of the app, if [`cache`](Self::cache) is set |
/// | `/inputs` | the [`files`](Self::files), read-only |
/// | `/tmp` | scratch space, which is also its `HOME` |
///
/// `/app` and `/layers` are there, empty unless a layer fills them, and belong to 1000:1000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name in logs and errors, such as `install dependencies`.
    pub name: &'static str,
    /// What its root file system consists of, the lowest layer first.
    pub chain: Vec<Digest>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its environment. Proxies and certificates are added if it has a network.
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub directory: PathBuf,
    /// User and group.
    pub user: (u32, u32),
    /// Small files to lay down beneath `/inputs`, by their paths from there.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Further mounts. Their mount points are in a layer.
    pub mounts: Vec<Mount>,
    /// Whether it gets the app's cache.
    pub cache: bool,
    /// Whether it gets a network.
    pub network: bool,
}

impl Step {
    /// A command in `base`, run by 1000:1000 in `/app`, without files, cache and network.
    pub fn new(name: &'static str, base: &BaseImage, command: &[&str]) -> Self {
        Self {
            name,
            chain: base.layers.clone(),
            command: command.iter().map(|&part| part.to_owned()).collect(),
            env: base.env.clone(),
            directory: PathBuf::from("/app"),
            user: OWNER,
            files: BTreeMap::new(),
            mounts: Vec::new(),
            cache: false,
            network: false,
        }
    }

    /// With one more layer on top.
    #[must_use]
    pub fn over(mut self, layer: Digest) -> Self {
        self.chain.push(layer);
        self
    }

    /// With a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }
}
