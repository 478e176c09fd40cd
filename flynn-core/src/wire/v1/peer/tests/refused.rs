use serde_json::{Value, json};

use super::super::{Line, Problem, decode, decode_page, encode};
use super::values::{batch, messages};
use crate::change::Batch;
use crate::error::{Chain, Conflict, StoreError};
use crate::port::{Archived, AuditRecord, TailError};
use crate::rule::Denial;

/// Puts `value` at `pointer` in a good batch and expects to be refused with `problem`.
fn check(pointer: &str, value: Value, field: &str, problem: &str) {
    let mut document: Value = serde_json::from_str(&encode("batch", &batch()).unwrap()).unwrap();
    *document.pointer_mut(pointer).expect(pointer) = value;
    let error = decode::<Batch>("batch", &document.to_string()).unwrap_err();
    let text = Chain(&error).to_string();
    assert!(text.contains(&format!("`{field}`")) && text.contains(problem), "{text}");
}

#[test]
fn what_a_batch_holds_of_a_later_release_is_named() {
    check("/principal", json!("root"), "principal", "expected system");
    check("/expectations/0/type", json!("later"), "expectations[0].type", "unknown variant `later`");
    check("/expectations/0/id", json!("later:7"), "expectations[0]", "kind of object is unknown");
    check("/changes/0/verb", json!("later"), "changes[0].verb", "unknown variant `later`");
    check("/changes/0/kind", json!("later"), "changes[0].kind", "kind of object is unknown");
    check("/changes/0/spec/traffic", json!("later"), "changes[0]", "cannot read spec at `traffic`");
    check("/changes/0/team", Value::Null, "changes[0]", "a creation needs a `team`");
    check("/changes/1/spec", Value::Null, "changes[1]", "the `spec` is missing");
    check("/changes/2/status/release", json!(7), "changes[2]", "cannot read status at `release`");
    check("/idempotency/fingerprint", json!("00"), "idempotency.fingerprint", "1 bytes are not the length");
}

fn refusal(code: &str, error: Value) -> StoreError {
    let document = json!({"title": "T", "status": 409, "detail": "what happened", "code": code, "error": error});
    serde_json::from_str::<Problem>(&document.to_string()).unwrap().into_error("commit")
}

#[test]
fn a_refusal_of_a_later_release_keeps_its_class() {
    let later = json!({"type": "conflict", "conflict": {"type": "later"}});
    let conflict = refusal("conflict", later);
    let unknown = Conflict::Unknown { text: String::from("what happened") };
    assert!(matches!(conflict, StoreError::Conflict { conflict, .. } if conflict == unknown));
    let denied = refusal("not_allowed", json!({"type": "not_allowed", "denial": {"type": "later"}}));
    assert!(
        matches!(denied, StoreError::NotAllowed { denial: Denial::Reserved { reason }, .. } if reason == "what happened")
    );
    assert!(matches!(refusal("invalid", Value::Null), StoreError::Invalid { .. }));
    assert!(matches!(refusal("unavailable", json!(7)), StoreError::Unavailable { .. }));
    let broken = refusal("later", json!({"type": "later"}));
    assert!(matches!(&broken, StoreError::Internal { source, .. } if source.to_string() == "409: what happened"));
}

fn line(document: Value) -> Line {
    decode("line", &document.to_string()).unwrap()
}

#[test]
fn a_line_of_a_later_release_is_opaque_or_passed_over() {
    assert!(matches!(line(json!({"type": "later", "object": 7})), Line::Later(word) if word == "later"));
    let opaque = |document, problem: &str| match line(document) {
        Line::Opaque(text) => assert!(text.contains(problem), "{text}"),
        other => panic!("{other:?}"),
    };
    opaque(json!({"type": "put", "object": {"kind": "later", "document": {}}}), "kind of object is unknown");
    opaque(json!({"type": "put", "object": {"kind": "team", "document": {}}}), "missing field");
    opaque(json!({"type": "removed", "id": "later:0"}), "kind of object is unknown");
    let end = line(json!({"type": "end", "error": {"type": "later"}}));
    assert!(matches!(end, Line::End(TailError::Unavailable(_))), "{end:?}");
    for bad in [json!({"type": "commit", "revision": 1, "at": 2}), json!({"type": "put"}), json!({}), json!(7)] {
        assert!(decode::<Line>("line", &bad.to_string()).is_err(), "{bad}");
    }
}

#[test]
fn an_entry_of_a_later_release_is_left_out_of_its_page() {
    let mut page: Value = messages().into_iter().find(|(name, _)| *name == "archived").unwrap().1.parse().unwrap();
    let mut later = page["entries"][0].clone();
    later["object"]["document"]["spec"]["role"] = json!("later");
    page["entries"].as_array_mut().unwrap().insert(0, later);
    let (read, opaque) = decode_page::<Archived>("page", &page.to_string()).unwrap();
    assert_eq!((read.entries.len(), opaque.len()), (1, 1));
    assert!(read.next.is_some());
    assert!(Chain(&opaque[0]).to_string().contains("unknown variant `later`"));
    let unreadable = json!({"entries": [{"principal": "later"}], "next": "x"}).to_string();
    assert!(decode_page::<AuditRecord>("page", &unreadable).is_err(), "the cursor makes no sense");
}
