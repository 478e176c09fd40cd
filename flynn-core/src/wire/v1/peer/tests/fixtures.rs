use std::path::PathBuf;

use serde_json::Value;

use super::super::{Problem, decode, decode_page, encode};
use super::values::{batch, errors, lines, messages};
use crate::change::Batch;
use crate::error::Chain;
use crate::port::{Archived, AuditRecord, Committed, Seen};

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/wire/v1/peer/{name}"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn problem() -> Problem {
    let detail = String::from("commit: conflict");
    Problem { title: "Conflict".into(), status: 409, detail, code: "conflict".into(), error: None }
}

fn check(name: &str, written: &str, kept: &str) {
    let (now, then): (Value, Value) = (serde_json::from_str(written).unwrap(), serde_json::from_str(kept).unwrap());
    assert_eq!(now, then, "the format of {name} has changed");
}

#[test]
fn what_is_written_stays_as_it_was() {
    for (name, message) in messages() {
        check(name, &message, &fixture(&format!("{name}.json")));
    }
    for (line, kept) in lines().iter().zip(fixture("lines.ndjson").lines()) {
        check("a line", &encode("line", line).unwrap(), kept);
    }
    for (error, kept) in errors().iter().zip(fixture("problems.ndjson").lines()) {
        let written = serde_json::to_string(&problem().with_error(error)).unwrap();
        check("a problem", &written, kept);
    }
}

#[test]
fn what_was_ever_written_is_read() {
    assert_eq!(decode::<Batch>("batch", &fixture("batch.json")).unwrap(), batch());
    let committed: Committed = decode("committed", &fixture("committed.json")).unwrap();
    assert!(committed.replayed);
    let kept = fixture("lines.ndjson");
    assert_eq!(kept.lines().count(), lines().len());
    for (line, kept) in lines().iter().zip(kept.lines()) {
        let read: super::Line = decode("line", kept).unwrap();
        assert_eq!(format!("{read:?}"), format!("{line:?}"));
    }
    let kept = fixture("problems.ndjson");
    assert_eq!(kept.lines().count(), errors().len());
    for (error, kept) in errors().iter().zip(kept.lines()) {
        let read = serde_json::from_str::<Problem>(kept).unwrap().into_error("commit");
        assert_eq!(Chain(&read).to_string(), Chain(error).to_string());
    }
    assert_eq!(decode_page::<Archived>("page", &fixture("archived.json")).unwrap().0.entries.len(), 1);
    assert_eq!(decode_page::<AuditRecord>("page", &fixture("audit.json")).unwrap().0.entries.len(), 1);
    assert_eq!(decode_page::<Seen>("seen", &fixture("seen.json")).unwrap().0.entries.len(), 1);
}
