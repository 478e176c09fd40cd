mod fixtures;
mod refused;
pub(super) mod samples;

use proptest::prelude::*;
use serde_json::{Value, json};

use samples::sample;

use super::{arbitrary, decode, decode_membership, encode, encode_membership};
use crate::noun::Kind;

/// Fields whose keys are names: what is added to them is an entry.
const MAPS: [&str; 3] = ["env", "labels", "processes"];

proptest! {
    #[test]
    fn objects_round_trip(object in arbitrary::any_object()) {
        let document = encode(&object).unwrap();
        prop_assert_eq!(decode(object.id().kind(), &document).unwrap(), object);
    }

    #[test]
    fn memberships_round_trip(member in arbitrary::membership()) {
        let document = encode_membership(&member).unwrap();
        prop_assert_eq!(decode_membership(&document).unwrap(), member);
    }

    #[test]
    fn fields_and_versions_of_later_releases_are_survived(object in arbitrary::any_object()) {
        let mut document: Value = serde_json::from_str(&encode(&object).unwrap()).unwrap();
        add_unknown(&mut document);
        document["v"] = json!(2);
        prop_assert_eq!(decode(object.id().kind(), &document.to_string()).unwrap(), object);
    }

    #[test]
    fn no_text_panics(kind in any_kind(), text in any::<String>(), json in "[\\[\\]{}:,\"a-z0-9. -]{0,60}") {
        let _ = (decode(kind, &text), decode(kind, &json), decode_membership(&text), decode_membership(&json));
    }

    #[test]
    fn no_damaged_document_panics(
        object in arbitrary::any_object(),
        place in any::<prop::sample::Index>(),
        length in 0..9_usize,
        patch in any::<String>(),
    ) {
        let mut document: Vec<char> = encode(&object).unwrap().chars().collect();
        let start = place.index(document.len());
        document.splice(start..document.len().min(start + length), patch.chars());
        let _ = decode(object.id().kind(), &String::from_iter(document));
    }

    #[test]
    fn no_foreign_value_panics(
        object in arbitrary::any_object(),
        place in any::<prop::sample::Index>(),
        foreign in foreign(),
        kind in any_kind(),
    ) {
        let mut document: Value = serde_json::from_str(&encode(&object).unwrap()).unwrap();
        let mut count = 0;
        visit("", &mut document, &mut |_, _| count += 1);
        let mut left = place.index(count);
        visit("", &mut document, &mut |_, value| {
            if left == 0 {
                *value = foreign.clone();
            }
            left = left.wrapping_sub(1);
        });
        let _ = (decode(object.id().kind(), &document.to_string()), decode(kind, &document.to_string()));
    }
}

#[test]
fn a_noun_without_status_reads_any_status_and_none() {
    let object = sample(Kind::Team);
    let mut document: Value = serde_json::from_str(&encode(&object).unwrap()).unwrap();
    for status in [json!(null), json!({"state": "later"}), json!("later")] {
        document["status"] = status;
        assert_eq!(decode(Kind::Team, &document.to_string()).unwrap(), object);
    }
    document.as_object_mut().unwrap().remove("status");
    assert_eq!(decode(Kind::Team, &document.to_string()).unwrap(), object);
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL)
}

fn foreign() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!([])),
        Just(json!([{}, 1])),
        Just(json!({})),
        Just(json!({"type": "later"})),
        Just(json!({"type": 7})),
    ]
}

fn add_unknown(document: &mut Value) {
    visit("", document, &mut |key, value| {
        if let Value::Object(object) = value
            && !MAPS.contains(&key)
        {
            object.insert(String::from("later"), json!({"deep": [1, {"type": "x"}]}));
        }
    });
}

/// Calls `act` with each value in `value` and the key it is below, the inner ones first.
fn visit(key: &str, value: &mut Value, act: &mut impl FnMut(&str, &mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| visit(key, item, act)),
        Value::Object(object) => object.iter_mut().for_each(|(key, value)| visit(key, value, act)),
        _ => {}
    }
    act(key, value);
}
