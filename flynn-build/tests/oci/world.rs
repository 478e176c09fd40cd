//! Layouts in the making, right and wrong.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use flynn_build::oci::{CheckedImage, Layout, LayoutError, LayoutLimits};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

pub(crate) fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub(crate) fn digest(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// An image that can be changed before it becomes files.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) config: Value,
    layers: Vec<(Vec<u8>, &'static str)>,
}

impl Default for Image {
    fn default() -> Self {
        let config = json!({
            "architecture": own_architecture(), "os": "linux",
            "config": { "Entrypoint": ["/serve"], "Cmd": ["now"] },
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        Self { config, layers: Vec::new() }
    }
}

impl Image {
    /// With a layer more of this content, packed as the media type says.
    pub(crate) fn layer(mut self, content: Vec<u8>, kind: &'static str) -> Self {
        self.config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(json!(digest(&content)));
        let packed = if kind.ends_with("gzip") { gzip(&content) } else { content };
        self.layers.push((packed, kind));
        self
    }

    pub(crate) fn architecture(mut self, architecture: &str) -> Self {
        self.config["architecture"] = json!(architecture);
        self
    }

    pub(crate) fn ports(mut self, ports: &[&str]) -> Self {
        self.config["config"]["ExposedPorts"] = ports.iter().map(|port| ((*port).to_owned(), json!({}))).collect();
        self
    }

    fn manifest(&self) -> Vec<u8> {
        let config = self.config.to_string();
        let layers: Vec<_> = self.layers.iter().map(|(content, kind)| descriptor(content, kind)).collect();
        json!({ "schemaVersion": 2, "config": descriptor(config.as_bytes(), CONFIG), "layers": layers })
            .to_string()
            .into_bytes()
    }

    pub(crate) fn manifest_digest(&self) -> String {
        digest(&self.manifest())
    }

    pub(crate) fn files(&self, tag: &str) -> Files {
        Files::of_several(&[(self, Some(tag))])
    }
}

fn descriptor(content: &[u8], kind: &str) -> Value {
    json!({ "mediaType": kind, "digest": digest(content), "size": content.len() })
}

/// The files of a layout, by their paths.
#[derive(Debug, Clone)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files {
    pub(crate) fn of_several(images: &[(&Image, Option<&str>)]) -> Self {
        let mut files = Self(BTreeMap::new());
        let mut listed = Vec::new();
        for (image, tag) in images {
            let manifest = image.manifest();
            let mut entry = descriptor(&manifest, MANIFEST);
            match tag {
                Some(tag) => entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag }),
                None => entry["platform"] = json!({ "os": "linux", "architecture": image.config["architecture"] }),
            }
            listed.push(entry);
            files.blob(&manifest);
            files.blob(image.config.to_string().as_bytes());
            image.layers.iter().for_each(|(layer, _)| files.blob(layer));
        }
        files.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        files.put("index.json", json!({ "schemaVersion": 2, "manifests": listed }).to_string().as_bytes());
        files
    }

    pub(crate) fn put(&mut self, path: &str, content: &[u8]) {
        self.0.insert(path.to_owned(), content.to_vec());
    }

    pub(crate) fn blob(&mut self, content: &[u8]) {
        self.put(&path_of(&digest(content)), content);
    }

    /// With its index in another one, so many times.
    pub(crate) fn nested(mut self, times: usize) -> Self {
        for _ in 0..times {
            let inner = self.0["index.json"].clone();
            self.blob(&inner);
            let outer = json!({ "schemaVersion": 2, "manifests": [descriptor(&inner, INDEX)] });
            self.put("index.json", outer.to_string().as_bytes());
        }
        self
    }

    pub(crate) fn index(&self) -> Value {
        serde_json::from_slice(&self.0["index.json"]).unwrap()
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (path, content) in &self.0 {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut files = flynn_build::image::LayerFiles::default();
        for (path, content) in &self.0 {
            files = files.file(path, 0o644, (0, 0), content);
        }
        files.into_tar()
    }
}

pub(crate) fn path_of(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The image that is in these files.
pub(crate) fn check(files: &Files, tag: Option<&str>) -> Result<CheckedImage, LayoutError> {
    check_within(files, tag, LayoutLimits::default())
}

pub(crate) fn check_within(
    files: &Files,
    tag: Option<&str>,
    limits: LayoutLimits,
) -> Result<CheckedImage, LayoutError> {
    check_archive(&files.tar(), tag, limits)
}

pub(crate) fn check_archive(
    archive: &[u8],
    tag: Option<&str>,
    limits: LayoutLimits,
) -> Result<CheckedImage, LayoutError> {
    let spool = tempfile::tempdir().unwrap();
    let path = spool.path().join("archive");
    fs::write(&path, archive).unwrap();
    Layout::open(&path, spool.path(), limits)?.image(tag)
}
