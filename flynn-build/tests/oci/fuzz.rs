//! Whatever a layout holds, reading it ends with an image that is what it says, or with a reason.

use flynn_build::oci::LayoutLimits;
use proptest::prelude::*;

use crate::world::{Files, GZIP, Image, TAR, check_archive, check_within};

const LIMITS: LayoutLimits = LayoutLimits { bytes: 1 << 20, layers: 8, unpacked_bytes: 1 << 20 };

fn whole() -> impl Strategy<Value = (Image, Files)> {
    let layer = (prop::collection::vec(any::<u8>(), 0..2_000), prop::sample::select(vec![TAR, GZIP]));
    (prop::collection::vec(layer, 0..5), 0..3_usize).prop_map(|(layers, depth)| {
        let image = layers.into_iter().fold(Image::default(), |image, (content, kind)| image.layer(content, kind));
        let files = image.files("v1").nested(depth);
        (image, files)
    })
}

/// JSON of the shape that documents have, with values that they do not.
fn document() -> impl Strategy<Value = serde_json::Value> {
    let key = prop::sample::select(vec![
        "schemaVersion",
        "mediaType",
        "manifests",
        "digest",
        "size",
        "platform",
        "annotations",
        "config",
        "layers",
        "rootfs",
        "diff_ids",
        "architecture",
        "os",
        "Entrypoint",
        "Cmd",
        "ExposedPorts",
        "imageLayoutVersion",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(Into::into),
        Just(serde_json::json!(2)),
        ".{0,20}".prop_map(Into::into),
        Just(serde_json::json!(format!("sha256:{}", "0".repeat(64)))),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_whole_is_taken((image, files) in whole()) {
        let checked = check_within(&files, None, LIMITS).unwrap();
        prop_assert_eq!(checked.manifest().to_string(), image.manifest_digest());
    }

    /// Only what nothing names may change without being noticed.
    #[test]
    fn a_changed_byte_changes_no_image((image, files) in whole(), file in any::<prop::sample::Index>(),
                                       place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut changed = files;
        let paths: Vec<_> = changed.0.keys().cloned().collect();
        let content = changed.0.get_mut(&paths[file.index(paths.len())]).unwrap();
        if !content.is_empty() {
            let place = place.index(content.len());
            content[place] = byte;
        }
        if let Ok(checked) = check_within(&changed, None, LIMITS) {
            prop_assert_eq!(checked.manifest().to_string(), image.manifest_digest());
        }
    }

    #[test]
    fn a_document_of_any_shape_ends_with_an_answer(index in document(), other in document()) {
        let mut files = Image::default().layer(b"x".to_vec(), TAR).files("v1");
        files.put("index.json", index.to_string().as_bytes());
        let _answer = check_within(&files, None, LIMITS);
        let text = other.to_string();
        files.blob(text.as_bytes());
        let digest = crate::world::digest(text.as_bytes());
        for kind in ["application/vnd.oci.image.manifest.v1+json", crate::world::INDEX] {
            let listed = serde_json::json!({ "mediaType": kind, "digest": digest, "size": text.len() });
            let index = serde_json::json!({ "schemaVersion": 2, "manifests": [listed] });
            files.put("index.json", index.to_string().as_bytes());
            prop_assert!(check_within(&files, None, LIMITS).is_err());
        }
    }

    #[test]
    fn any_bytes_end_with_an_answer(mut archive in prop::collection::vec(any::<u8>(), 0..4_000), (_, files) in whole(),
                                    cut in any::<prop::sample::Index>()) {
        prop_assert!(check_archive(&archive, None, LIMITS).is_err());
        let whole = files.tar();
        archive.splice(0..0, whole[..cut.index(whole.len())].iter().copied());
        let _answer = check_archive(&archive, None, LIMITS);
    }
}
