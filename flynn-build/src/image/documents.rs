use std::collections::BTreeMap;

use flynn_core::value::Digest;
use serde::Serialize;
use serde_json::{Value, json};

use super::OWNER;

/// What an image's configuration says, and its layers with their lengths, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Uncompressed tar archives.
    pub layers: Vec<Descriptor>,
}

/// A blob as a document of an image names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

impl ImageSpec {
    /// The configuration. It is the same bytes for the same content, and names no time.
    pub fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| layer.digest).collect();
        let env: Vec<_> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        document(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": { "User": format!("{}:{}", OWNER.0, OWNER.1), "Env": env, "WorkingDir": "/app" },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }))
    }

    /// The manifest of the image with this configuration.
    pub fn manifest(&self, config: Descriptor) -> Vec<u8> {
        const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
        let layers: Vec<_> = self.layers.iter().map(|layer| descriptor(LAYER, *layer)).collect();
        document(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": layers,
        }))
    }
}

fn descriptor(media_type: &str, blob: Descriptor) -> Value {
    json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.bytes })
}

fn document(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The name that images give to the architecture of this machine.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_name_their_parts() {
        let layer = Descriptor { digest: Digest::from_bytes([7; 32]), bytes: 2_048 };
        let env = BTreeMap::from([("PATH".to_owned(), "/bin".to_owned()), ("A".to_owned(), "b=c".to_owned())]);
        let spec = ImageSpec { env, layers: vec![layer, layer] };
        let config: Value = serde_json::from_slice(&spec.config()).unwrap();
        assert_eq!(config["config"]["User"], "1000:1000");
        assert_eq!(config["config"]["Env"], json!(["A=b=c", "PATH=/bin"]));
        assert_eq!(config["rootfs"]["diff_ids"], json!([layer.digest, layer.digest]));
        let manifest: Value =
            serde_json::from_slice(&spec.manifest(Descriptor { digest: Digest::from_bytes([9; 32]), bytes: 5 }))
                .unwrap();
        assert_eq!(manifest["config"]["size"], 5);
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
        assert_eq!(spec.config(), spec.clone().config());
    }
}
