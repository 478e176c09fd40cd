use std::collections::BTreeMap;
use std::sync::Arc;

use flynn_core::Timestamp;
use flynn_core::value::Digest;

use super::{BaseImage, MakeError};

/// The `PATH` of every base image.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A base image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its only layer: the digest of an uncompressed tar archive in the blob store.
    pub layer: Digest,
    /// The length of that archive in bytes.
    pub bytes: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// The versions of the languages in it.
    pub versions: BTreeMap<String, String>,
}

impl Base {
    pub(super) fn image(&self) -> BaseImage {
        BaseImage {
            layers: vec![self.layer],
            env: [("LANG", "C.UTF-8"), ("PATH", PATH)].map(|(name, value)| (name.into(), value.into())).into(),
            key: self.layer,
            versions: self.versions.clone(),
        }
    }
}

/// What is known of a base image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum BaseState {
    /// The driver has not come to it.
    Waiting,
    /// It is being made.
    Making {
        /// What is being done, in the words of who does it.
        step: String,
    },
    /// It is there.
    Ready(Base),
    /// It could not be made. It is tried again after a while, or as soon as somebody asks for it.
    Failed(Arc<MakeError>),
    /// The driver has ended, and it is not there.
    Stopped,
}
