//! Manifests of images (OCI image specification, "Image Manifest"; Docker's manifest, schema 2).

use flynn_core::value::Digest;
use serde::Deserialize;

/// More layers than overlay file systems stack, and then some.
const MOST_LAYERS: usize = 1_000;

/// What is read of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) config: Digest,
    /// The lowest first.
    pub(super) layers: Vec<LayerBlob>,
}

/// A layer as the manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerBlob {
    pub(super) digest: Digest,
    pub(super) compression: Compression,
}

/// How a layer's archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
}

impl Manifest {
    /// Reads a manifest; the error says what is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(text).map_err(|error| format!("the manifest: {error}"))?;
        let is_list = |kind: &str| kind.contains("image.index") || kind.contains("manifest.list");
        if document.manifests.is_some() || document.media_type.as_deref().is_some_and(is_list) {
            return Err(
                "it is a list of images for several machines: name the manifest of the one for linux/amd64".into()
            );
        }
        if document.schema_version != 2 {
            return Err(format!(
                "the manifest has the schema version {}, and only 2 is known",
                document.schema_version
            ));
        }
        let (Some(config), Some(layers)) = (document.config, document.layers) else {
            return Err("the manifest names no configuration or no layers".into());
        };
        if layers.len() > MOST_LAYERS {
            return Err(format!("the manifest names {} layers, and {MOST_LAYERS} are the most", layers.len()));
        }
        let layers = layers.iter().map(|layer| {
            Ok(LayerBlob { digest: digest(&layer.digest)?, compression: compression(&layer.media_type)? })
        });
        Ok(Self { config: digest(&config.digest)?, layers: layers.collect::<Result<_, String>>()? })
    }
}

fn digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|error| format!("`{}`: {error}", text.escape_debug()))
}

fn compression(media_type: &str) -> Result<Compression, String> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Compression::None),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(Compression::Gzip),
        other => Err(format!(
            "a layer is `{}`, and only tar archives, plain or compressed with gzip, can be read",
            other.escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    #[test]
    fn manifests_of_both_families_are_read() {
        let (config, low, high) = (text('1'), text('2'), text('3'));
        for (kind, plain, gzip) in [
            (
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.oci.image.layer.v1.tar",
                "application/vnd.oci.image.layer.v1.tar+gzip",
            ),
            (
                "application/vnd.docker.distribution.manifest.v2+json",
                "application/vnd.docker.image.rootfs.diff.tar",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
            ),
        ] {
            let manifest = serde_json::json!({
                "schemaVersion": 2, "mediaType": kind, "annotations": { "a": "b" },
                "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
                "layers": [
                    { "mediaType": plain, "digest": low, "size": 1 }, { "mediaType": gzip, "digest": high, "size": 1 },
                ],
            });
            let expected = Manifest {
                config: config.parse().unwrap(),
                layers: vec![
                    LayerBlob { digest: low.parse().unwrap(), compression: Compression::None },
                    LayerBlob { digest: high.parse().unwrap(), compression: Compression::Gzip },
                ],
            };
            assert_eq!(Manifest::parse(manifest.to_string().as_bytes()), Ok(expected));
        }
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        let check = |text: &str, part: &str| {
            let problem = Manifest::parse(text.as_bytes()).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        };
        check("", "EOF");
        check(r#"{"schemaVersion":1}"#, "schema version 1");
        check(r#"{"schemaVersion":2}"#, "names no configuration");
        check(r#"{"schemaVersion":2,"manifests":[]}"#, "linux/amd64");
        let with = |digest: &str, kind: &str| {
            let layer = format!(r#"{{"mediaType":"{kind}","digest":"{}"}}"#, text('2'));
            format!(r#"{{"schemaVersion":2,"config":{{"digest":"{digest}"}},"layers":[{layer}]}}"#)
        };
        check(&with("sha512:00", "application/vnd.oci.image.layer.v1.tar"), "not a digest");
        check(&with(&text('1'), "application/vnd.oci.image.layer.v1.tar+zstd"), "only tar archives");
        check(&with(&text('1'), ""), "only tar archives");
    }
}
