//! Layouts that are not what they say: each is refused, with a reason.

use std::os::unix::fs::symlink;

use flynn_build::oci::{Layout, LayoutError, LayoutLimits};
use serde_json::json;

use crate::world::{Files, GZIP, INDEX, Image, TAR, check, check_archive, check_within, digest, gzip, path_of};

fn image() -> Image {
    Image::default().layer(b"content".to_vec(), TAR)
}

#[track_caller]
fn refused(files: &Files, part: &str) {
    let error = check(files, None).unwrap_err();
    assert!(error.to_string().contains(part), "{error} has no {part:?}");
}

#[test]
fn what_is_missing_is_named() {
    // Naming what somebody else has stored is of no use: it has to be in the layout itself.
    let whole = image().files("v1");
    let manifest = image().manifest_digest();
    let blobs: Vec<_> = whole.0.keys().filter(|path| path.starts_with("blobs/")).cloned().collect();
    for path in blobs.into_iter().chain(["index.json".to_owned()]) {
        let mut files = whole.clone();
        files.0.remove(&path);
        refused(&files, &format!("no file `{path}`"));
    }
    let mut files = Files(Default::default());
    files.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": manifest, "size": 300 }] });
    files.put("index.json", index.to_string().as_bytes());
    refused(&files, &path_of(&manifest));
    files.0.remove("oci-layout");
    refused(&files, "no file `oci-layout`");
}

#[test]
fn other_content_and_other_lengths_are_found() {
    let whole = image().files("v1");
    let blobs: Vec<_> = whole.0.keys().filter(|path| path.starts_with("blobs/")).cloned().collect();
    for path in blobs {
        let mut files = whole.clone();
        let content = files.0.get_mut(&path).unwrap();
        let last = content.last_mut().unwrap();
        *last = if *last == b'}' { b' ' } else { b'}' };
        let hex = path.rsplit('/').next().unwrap();
        refused(&files, hex);
        let mut files = whole.clone();
        files.0.get_mut(&path).unwrap().push(b' ');
        refused(&files, "bytes and should have");
    }
}

#[test]
fn layers_unpack_to_what_the_configuration_says() {
    let mut lying = Image::default().layer(b"content".to_vec(), GZIP);
    lying.config["rootfs"]["diff_ids"] = json!([digest(b"other")]);
    refused(&lying.files("v1"), "unpacks to");
    let mut fewer = image();
    fewer.config["rootfs"]["diff_ids"] = json!([]);
    refused(&fewer.files("v1"), "names 1 layers and the configuration 0");
    refused(&Image::default().layer(b"x".to_vec(), "application/vnd.oci.image.layer.v1.tar+zstd").files("v1"), "zstd");
}

#[test]
fn what_grows_beyond_the_limits_is_not_unpacked_to_its_end() {
    let bomb = Image::default().layer(vec![0; 64 << 20], GZIP).files("v1");
    let limits = LayoutLimits { unpacked_bytes: 1 << 20, ..LayoutLimits::default() };
    let error = check_within(&bomb, None, limits).unwrap_err();
    assert!(error.to_string().contains("larger unpacked"), "{error}");
    let most = LayoutLimits { layers: 1, ..LayoutLimits::default() };
    let two = image().layer(b"more".to_vec(), TAR).files("v1");
    assert!(check_within(&two, None, most).unwrap_err().to_string().contains("1 are the most"));
    let small = LayoutLimits { bytes: 100, ..LayoutLimits::default() };
    assert!(matches!(check_within(&two, None, small), Err(LayoutError::Unreadable(_))));
    // The archive itself as a bomb.
    let mut files = image().files("v1");
    files.put("padding", &vec![0; 32 << 20]);
    assert!(check_archive(&gzip(&files.tar()), None, LayoutLimits::default()).is_err());
    let mut files = image().files("v1");
    files.put("index.json", &vec![b' '; 5 << 20]);
    refused(&files, "more than 4194304 bytes");
}

#[test]
fn lists_in_lists_have_an_end() {
    assert!(check(&image().files("v1").nested(3), None).is_ok());
    refused(&image().files("v1").nested(4), "more than 3 deep");
    let mut files = image().files("v1");
    let entry = files.index()["manifests"][0].clone();
    let many = json!({ "schemaVersion": 2, "manifests": vec![entry.clone(); 1_001] });
    files.put("index.json", many.to_string().as_bytes());
    refused(&files, "more than 1000 entries");
    let tagged = (0..5_000).map(|number| {
        let mut entry = entry.clone();
        entry["annotations"]["org.opencontainers.image.ref.name"] = json!(format!("{number}{}", "x".repeat(100)));
        entry
    });
    let many = json!({ "schemaVersion": 2, "manifests": tagged.collect::<Vec<_>>() });
    files.put("index.json", many.to_string().as_bytes());
    let error = check(&files, None).unwrap_err().to_string();
    assert!(error.contains("4990 more") && error.len() < 1_000, "{error}");
    // One that names itself cannot be made, but one can say that it does.
    let mut files = image().files("v1");
    let own = files.0["index.json"].clone();
    files.blob(&own);
    let circle =
        json!({ "schemaVersion": 2, "manifests": [{ "mediaType": INDEX, "digest": digest(&own), "size": 1 }] });
    files.put("index.json", circle.to_string().as_bytes());
    refused(&files, "bytes and should have 1");
}

#[test]
fn images_of_other_machines_and_tags_are_not_taken() {
    let foreign = image().architecture("s390x");
    let error = check(&foreign.files("v1"), None).unwrap_err();
    assert!(matches!(error, LayoutError::OtherMachine { .. }), "{error}");
    let only_foreign = Files::of_several(&[(&foreign, None)]);
    assert!(matches!(check(&only_foreign, None), Err(LayoutError::OtherMachine { .. })));
    let mut windows = image();
    windows.config["os"] = json!("windows");
    assert!(matches!(check(&windows.files("v1"), None), Err(LayoutError::OtherMachine { .. })));
    // What an index says of an image is not what the image is.
    let mut files = Files::of_several(&[(&foreign, None)]);
    let mut index = files.index();
    index["manifests"][0].as_object_mut().unwrap().remove("platform");
    files.put("index.json", index.to_string().as_bytes());
    assert!(matches!(check(&files, None), Err(LayoutError::OtherMachine { .. })));

    let (one, two) = (image(), image().layer(b"more".to_vec(), TAR));
    let both = Files::of_several(&[(&one, Some("v1")), (&two, Some("v2"))]);
    refused(&both, "name one of v1, v2");
    assert_eq!(check(&both, Some("v2")).unwrap().manifest().to_string(), two.manifest_digest());
    let error = check(&both, Some("v3")).unwrap_err();
    assert!(matches!(&error, LayoutError::NotFound { what } if what.contains("v1, v2")), "{error}");
}

#[test]
fn images_that_start_nothing_or_expose_nonsense_are_refused() {
    let mut idle = image();
    idle.config["config"] = json!({});
    refused(&idle.files("v1"), "neither an entrypoint nor a command");
    for port in ["0/tcp", "70000", "x/tcp", "80/icmp"] {
        refused(&image().ports(&[port]).files("v1"), "which is no port");
    }
}

#[test]
fn nothing_outside_of_the_layout_is_read() {
    let place = tempfile::tempdir().unwrap();
    let (folder, secret) = (place.path().join("layout"), place.path().join("secret"));
    let files = image().files("v1");
    files.write(&folder);
    let layer = folder.join(path_of(&digest(b"content")));
    std::fs::rename(&layer, &secret).unwrap();
    for target in [secret.to_str().unwrap(), "../../../secret"] {
        let _none = std::fs::remove_file(&layer);
        symlink(target, &layer).unwrap();
        let spool = tempfile::tempdir().unwrap();
        let opened = Layout::open(&folder, spool.path(), LayoutLimits::default());
        assert!(opened.and_then(|layout| layout.image(None)).is_err(), "{target}");
    }
    let mut escaping = image().files("v1");
    escaping.put("blobs/sha256/../../../escape", b"x");
    assert!(check(&escaping, None).is_err());
}
