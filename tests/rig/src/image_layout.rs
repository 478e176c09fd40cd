use std::fs;
use std::path::Path;

use flynn_build::image::LayerFiles;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const ROOT: (u32, u32) = (0, 0);
/// Where the image's server listens.
const PORT: u16 = 8_000;

/// Writes an OCI image layout with one image, which has the tag `tag`: a web server of busybox whose page says `text`.
/// What was there is replaced.
///
/// # Panics
/// Debian's busybox-static is not installed, or the folder cannot be written.
pub fn write_layout(folder: &Path, tag: &str, text: &str) {
    let serve = ["/bin/busybox", "httpd", "-f", "-p", &PORT.to_string(), "-h", "/www"];
    write_layout_of(folder, tag, text, &serve, std::env::consts::ARCH);
}

/// The same with another command, and for another processor.
///
/// # Panics
/// As for `write_layout`.
pub fn write_layout_of(folder: &Path, tag: &str, text: &str, command: &[&str], processor: &str) {
    let blobs = folder.join("blobs/sha256");
    let _none = fs::remove_dir_all(folder);
    fs::create_dir_all(&blobs).unwrap();
    let put = |content: &[u8], kind: &str| -> Value {
        let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&hex), content).unwrap();
        json!({ "mediaType": kind, "digest": format!("sha256:{hex}"), "size": content.len() })
    };
    let busybox = fs::read("/bin/busybox").expect("Debian's busybox-static is installed");
    let tools = LayerFiles::default().folder("bin", 0o755, ROOT).file("bin/busybox", 0o755, ROOT, &busybox).into_tar();
    let page = LayerFiles::default()
        .folder("etc", 0o755, ROOT)
        .folder("tmp", 0o1777, ROOT)
        .folder("www", 0o755, ROOT)
        .file("www/index.html", 0o644, ROOT, text.as_bytes())
        .into_tar();
    let layers = [tools, page].map(|layer| put(&layer, "application/vnd.oci.image.layer.v1.tar"));
    let architecture = match processor {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture, "os": "linux",
        "config": {
            "Entrypoint": command, "Env": ["PATH=/bin"], "ExposedPorts": { format!("{PORT}/tcp"): {} }, "User": "1000",
        },
        "rootfs": { "type": "layers", "diff_ids": layers.each_ref().map(|layer| layer["digest"].clone()) },
    });
    let config = put(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
    let mut listed = put(manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    listed["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    let index = json!({ "schemaVersion": 2, "manifests": [listed] });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
