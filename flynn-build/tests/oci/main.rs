//! Image layouts that somebody else made.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests")]

mod fuzz;
mod hostile;
mod world;

use std::fs;

use flynn_build::oci::{Layout, LayoutLimits};
use flynn_core::port::Blobs;
use flynn_core::{MemoryBlobs, SystemClock};
use world::{Files, GZIP, Image, TAR};

#[tokio::test]
async fn an_image_comes_whole_from_a_folder_and_from_an_archive() {
    let image = Image::default().layer(b"low".to_vec(), GZIP).layer(b"high".to_vec(), TAR);
    let files = image.files("v1");
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("layout");
    files.write(&folder);
    let archive = place.path().join("layout.tar");
    fs::write(&archive, files.tar()).unwrap();
    for path in [folder, archive] {
        let layout = Layout::open(&path, place.path(), LayoutLimits::default()).unwrap();
        let blobs = MemoryBlobs::new(std::sync::Arc::new(SystemClock));
        for tag in [None, Some("v1")] {
            let stored = layout.image(tag).unwrap().store(&blobs).await.unwrap();
            assert_eq!(stored.image.to_string(), image.manifest_digest());
            assert_eq!(stored.web.command, ["/serve", "now"]);
            assert_eq!(stored.web.port, Some(8_080));
        }
        let kept = blobs.list(None, 100).await.unwrap();
        assert_eq!(kept.len(), 4);
    }
}

#[tokio::test]
async fn the_image_for_this_machine_is_found_among_others() {
    let own = Image::default().layer(b"own".to_vec(), TAR);
    let other = Image::default().layer(b"other".to_vec(), TAR).architecture("s390x");
    let files = Files::of_several(&[(&other, None), (&own, None)]).nested(2);
    let checked = world::check(&files, None).unwrap();
    assert_eq!(checked.manifest().to_string(), own.manifest_digest());
}

#[test]
fn the_port_is_the_lowest_exposed_one_or_that_of_every_app() {
    for (ports, port) in [(&[][..], 8_080), (&["9000/tcp", "81", "53/udp"][..], 81), (&["53/udp"][..], 8_080)] {
        let image = Image::default().layer(b"x".to_vec(), TAR).ports(ports);
        let folder = tempfile::tempdir().unwrap();
        image.files("v1").write(folder.path());
        let spool = tempfile::tempdir().unwrap();
        let layout = Layout::open(folder.path(), spool.path(), LayoutLimits::default()).unwrap();
        let web = format!("{:?}", layout.image(None).unwrap());
        assert!(web.contains(&format!("port: Some({port})")), "{web}");
    }
}
