//! The JSON documents of a layout, as far as they are looked at.

use std::collections::BTreeMap;

use flynn_core::value::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::LayoutError;

/// Where tools write the tag of an image in an index.
const TAG: &str = "org.opencontainers.image.ref.name";

/// A blob as a document names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// What an image is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) architecture: String,
}

/// A list of images, or of lists.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
}

/// One image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// `oci-layout`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Marker {
    pub(super) image_layout_version: String,
}

/// The configuration of an image.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    #[serde(flatten)]
    pub(super) platform: Platform,
    #[serde(default)]
    pub(super) config: Option<Run>,
    pub(super) rootfs: RootFs,
}

/// How it is run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Run {
    #[serde(default)]
    pub(super) entrypoint: Option<Vec<String>>,
    #[serde(default)]
    pub(super) cmd: Option<Vec<String>>,
    #[serde(default)]
    pub(super) exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

/// The layers before compression.
#[derive(Debug, Deserialize)]
pub(super) struct RootFs {
    #[serde(default)]
    pub(super) diff_ids: Vec<String>,
}

impl Descriptor {
    pub(super) fn tag(&self) -> Option<&str> {
        self.annotations.as_ref()?.get(TAG).map(String::as_str)
    }

    pub(super) fn digest(&self) -> Result<Digest, LayoutError> {
        digest(&self.digest)
    }

    pub(super) fn is_index(&self) -> bool {
        self.media_type.contains("image.index") || self.media_type.contains("manifest.list")
    }
}

pub(super) fn digest(text: &str) -> Result<Digest, LayoutError> {
    let shown: String = text.chars().take(100).collect();
    text.parse().map_err(|error| LayoutError::invalid(format!("`{}`: {error}", shown.escape_debug())))
}

pub(super) fn parse<T: DeserializeOwned>(what: &str, text: &[u8]) -> Result<T, LayoutError> {
    serde_json::from_slice(text).map_err(|error| LayoutError::invalid(format!("{what} cannot be read: {error}")))
}
