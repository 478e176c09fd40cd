use std::path::PathBuf;

use serde_json::Value;

use super::samples::sample;
use crate::noun::Kind;
use crate::wire::{decode, encode};

fn path(kind: Kind) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/wire/v1/{kind}.json"))
}

#[test]
fn what_was_ever_written_is_read() {
    for kind in Kind::ALL {
        let document = std::fs::read_to_string(path(*kind)).unwrap();
        assert_eq!(decode(*kind, &document).unwrap(), sample(*kind));
    }
}

#[test]
fn what_is_written_stays_as_it_was() {
    for kind in Kind::ALL {
        let document = encode(&sample(*kind)).unwrap();
        let now: Value = serde_json::from_str(&document).unwrap();
        let then: Value = serde_json::from_str(&std::fs::read_to_string(path(*kind)).unwrap()).unwrap();
        assert_eq!(now, then, "the format of {kind} has changed");
    }
}
