//! Images that were made elsewhere, deployed by their layout.

use std::fs;
use std::process::Command;

use flynn_rig::{Rig, write_layout, write_layout_of};

use crate::apps::{json, says};

#[test]
fn an_image_is_deployed_from_its_layout_and_rolled_back() {
    let rig = Rig::start();
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("shop");
    rig.flynn(&["create", "shop"]).expect("flynn create");
    rig.flynn(&["config", "set", "-a", "shop", "COLOUR=red"]).expect("flynn config set");

    write_layout(&layout, "1.0", "the first image");
    let reference = format!("oci:{}:1.0", layout.display());
    let deployed = rig.flynn(&["deploy", "-a", "shop", "--image", &reference]);
    assert!(deployed.expect("flynn deploy").contains("v1 is live"), "{deployed:?}");
    says(&rig, "shop", "the first image");
    let release = json(&rig, &["releases", "info", "v1", "-a", "shop"]);
    let text = release.to_string();
    for part in ["shop:1.0", "\"port\":8000", "busybox", "COLOUR", "\"cause\":\"image\""] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // An archive of it, without a tag.
    write_layout(&layout, "2.0", "the second image");
    let archive = place.path().join("shop.tar");
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(&archive).arg("--directory").arg(&layout).arg(".");
    assert!(tar.status().unwrap().success());
    rig.flynn(&["deploy", "-a", "shop", "--image", archive.to_str().unwrap()]).expect("flynn deploy of an archive");
    says(&rig, "shop", "the second image");
    rig.flynn(&["rollback", "-a", "shop"]).expect("flynn rollback");
    says(&rig, "shop", "the first image");
    rig.down();
}

#[test]
fn layouts_that_are_not_whole_change_nothing() {
    let rig = Rig::start();
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    for app in ["ours", "theirs"] {
        rig.flynn(&["create", app]).expect("flynn create");
    }
    write_layout(&layout, "1.0", "ours alone");
    let reference = layout.to_str().unwrap();
    rig.flynn(&["deploy", "-a", "ours", "--image", reference]).expect("flynn deploy");

    let refused = |code: i32, reference: &str, part: &str| {
        let ran = rig.flynn(&["deploy", "-a", "theirs", "--image", reference]);
        let said = ran.expect_failure(code, "flynn deploy");
        assert!(said.contains(part), "{said}");
    };
    refused(1, &format!("{reference}:9.9"), "no tag `9.9`; it has 1.0");
    refused(3, "/nowhere/at/all", "there is no OCI image layout");
    refused(2, "docker://example.org/app", "skopeo copy");
    // What somebody else has uploaded cannot be had by naming it.
    let blobs = layout.join("blobs/sha256");
    let largest = fs::read_dir(&blobs).unwrap().flatten().max_by_key(|entry| entry.metadata().unwrap().len()).unwrap();
    let content = fs::read(largest.path()).unwrap();
    fs::remove_file(largest.path()).unwrap();
    refused(1, reference, &format!("no file `blobs/sha256/{}`", largest.file_name().to_str().unwrap()));
    // Nor with other content of the same length.
    fs::write(largest.path(), vec![0; content.len()]).unwrap();
    refused(1, reference, "has the digest");
    write_layout_of(&layout, "1.0", "elsewhere", &["/bin/busybox", "true"], "s390x");
    refused(1, reference, "the image is for linux/s390x");
    let releases = json(&rig, &["releases", "-a", "theirs"]);
    assert!(!releases.to_string().contains("\"number\""), "{releases}");
    says(&rig, "ours", "ours alone");
    rig.down();
}
