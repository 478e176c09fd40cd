use std::collections::BTreeMap;

use async_trait::async_trait;
use flynn_core::BoxError;
use flynn_core::value::Digest;

/// Provides base images.
#[async_trait]
pub trait BaseImages: Send + Sync {
    /// The base image of this kind, its layers durable in the blob store. It is made if it is not there, which may
    /// take minutes; calls at the same time share the work. For one that is there it answers within milliseconds.
    ///
    /// # Errors
    /// `Unavailable` if it could not be made; the next call tries again.
    async fn ensure(&self, kind: BaseKind) -> Result<BaseImage, BaseError>;

    /// What is being done at this moment to make the image, for somebody who waits; none if nothing is known.
    fn progress(&self, _kind: BaseKind) -> Option<String> {
        None
    }
}

/// What a base image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BaseKind {
    /// To build in: compilers, headers, package tools.
    Build,
    /// To run in.
    Run,
}

impl BaseKind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Run => "run",
        }
    }
}

/// A base image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Its layers, uncompressed tar, the lowest first.
    pub layers: Vec<Digest>,
    /// The environment that it asks for; it has `PATH`.
    pub env: BTreeMap<String, String>,
    /// What changes whenever its content does.
    pub key: Digest,
    /// The versions of the languages in it, such as `python` to `3.11.2`.
    pub versions: BTreeMap<String, String>,
}

/// Why there is no base image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// It could not be made at present.
    #[error("the base image for {} is not there and could not be made", kind.as_str())]
    Unavailable {
        /// Which one.
        kind: BaseKind,
        /// What happened.
        #[source]
        source: BoxError,
    },
}
