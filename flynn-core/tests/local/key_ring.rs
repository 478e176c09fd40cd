use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flynn_core::conformance::KeyRingHarness;
use flynn_core::local::FileKeyRing;
use flynn_core::port::{KeyRing, KeyRingError, SealedFor};
use flynn_core::value::{KeyId, Sealed};
use flynn_core::{AppId, Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use crate::small_disk::SmallDisk;

mod file;
mod rotation;

mod suite {
    use super::InFiles;

    flynn_core::key_ring_conformance!(InFiles::new());
}

struct InFiles(TempDir);

impl InFiles {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl KeyRingHarness for InFiles {
    type Ring = FileKeyRing;

    fn ring(&self) -> FileKeyRing {
        let number = fs::read_dir(self.0.path()).unwrap().count();
        FileKeyRing::create(self.0.path().join(format!("keys-{number}")), NOW).unwrap()
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const OBJECT: SealedFor = for_app(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);
const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A directory with a file of the given text and mode.
fn file(text: impl AsRef<[u8]>, mode: u32) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

const fn for_app(id: u128) -> SealedFor {
    SealedFor::Env(AppId::from_uuid(Uuid::from_u128(id)))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn problem<T: std::fmt::Debug>(result: Result<T, KeyRingError>) -> String {
    match result {
        Err(KeyRingError::Unusable { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The values were sealed by libsodium 1.0.20, `crypto_aead_xchacha20poly1305_ietf_encrypt`.
#[test]
fn another_implementations_seals_are_opened() {
    let (_directory, path) = file(format!("flynn-key-ring 1\nkey k1 5 {HEX}\n"), 0o600);
    let ring = FileKeyRing::open(&path).unwrap();
    let nonce = "404142434445464748494a4b4c4d4e4f5051525354555657";
    for (plain, rest) in [
        (
            "postgres://flynn:secret@db/app",
            "a4567604b7921c65b5dba8d8c3e50bfca8c9c8a7613c27da0e53d2247974e24ada1407e374cfc2c0e8c7007a7463",
        ),
        ("", "845e95d1e19e5bfc4c033cdc01e416cf"),
    ] {
        let sealed = Sealed { key: KeyId("k1".into()), bytes: from_hex(&format!("{nonce}{rest}")) };
        assert_eq!(ring.open(OBJECT, &sealed).unwrap().expose(), plain.as_bytes());
    }
}

#[test]
fn printing_a_ring_shows_no_key() {
    let (_directory, path) = file(format!("flynn-key-ring 1\nkey k1 5 {HEX}\n"), 0o600);
    let ring = FileKeyRing::open(&path).unwrap();
    for printed in [format!("{ring:?}"), format!("{ring:#?}")] {
        assert!(printed.contains("k1"), "{printed}");
        assert!(!printed.contains("0001020304") && !printed.contains("0, 1, 2, 3"), "{printed}");
    }
}

proptest! {
    #[test]
    fn any_value_is_opened_for_its_object_only(
        plain: Vec<u8>, object: u128, other: u128, changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..4),
    ) {
        let (_directory, path) = file(format!("flynn-key-ring 1\nkey k1 5 {HEX}\n"), 0o600);
        let ring = FileKeyRing::open(&path).unwrap();
        let (id, object) = (object, for_app(object));
        let sealed = ring.seal(object, &plain).unwrap();
        let opened = ring.open(object, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &plain);
        let moved = ring.open(for_app(other), &sealed);
        prop_assert_eq!(moved.is_ok(), other == id);
        let mut changed = sealed.clone();
        for (at, mask) in changes {
            let at = at.index(changed.bytes.len());
            changed.bytes[at] ^= mask;
        }
        prop_assert_eq!(ring.open(object, &changed).is_ok(), changed == sealed);
    }
}
