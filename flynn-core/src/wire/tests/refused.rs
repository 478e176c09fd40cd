use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};

use super::samples::sample;
use crate::noun::{Kind, Object, Stored};
use crate::wire::{WireError, decode, encode};

const UNKNOWN: &str = "unknown variant `later`";

/// Puts `value` at `pointer` in a good document of `kind` and expects to be refused for `field`.
fn check(kind: Kind, pointer: &str, value: Value, expected_field: &str, problem: &str) {
    let object = sample(kind);
    let mut document: Value = serde_json::from_str(&encode(&object).unwrap()).unwrap();
    *document.pointer_mut(pointer).expect(pointer) = value;
    let error = decode(kind, &document.to_string()).unwrap_err();
    let expected_id = if pointer == "/id" { None } else { Some(object.id().uuid()) };
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot read {kind} ")) && text.contains(expected_field), "{text}");
    let source = error.source().unwrap().to_string();
    assert!(source.contains(problem), "{source}");
    let WireError::Unreadable { what, id, field, .. } = error else { panic!("{error}") };
    assert_eq!((what, id, field.as_str()), (kind.as_str(), expected_id, expected_field));
}

#[test]
fn an_unknown_variant_is_named_with_its_object_and_field() {
    check(Kind::App, "/spec/traffic", json!("later"), "spec.traffic", UNKNOWN);
    check(Kind::Build, "/status/state/type", json!("later"), "status.state.type", UNKNOWN);
    check(Kind::Certificate, "/spec/source/type", json!("later"), "spec.source.type", UNKNOWN);
    check(Kind::Deployment, "/spec/policy/on_failure", json!("later"), "spec.policy.on_failure", UNKNOWN);
    check(Kind::Grant, "/spec/role", json!("later"), "spec.role", UNKNOWN);
    check(Kind::Job, "/status/state/health", json!("later"), "status.state", UNKNOWN);
    check(
        Kind::Release,
        "/spec/processes/web/check/probe/type",
        json!("later"),
        "spec.processes.web.check.probe.type",
        UNKNOWN,
    );
    check(Kind::Token, "/spec/scope/type", json!("later"), "spec.scope.type", UNKNOWN);
    check(Kind::Volume, "/status/state", json!("later"), "status.state", UNKNOWN);
}

#[test]
fn an_invalid_value_is_named_with_its_object_and_field() {
    let bad = json!("no Name!");
    check(Kind::App, "/spec/name", bad.clone(), "spec.name", "is not a valid app name");
    check(Kind::Formation, "/spec/processes", json!({"Web": {}}), "spec.processes.Web", "is not a valid process type");
    check(Kind::Volume, "/spec/path", bad.clone(), "spec.path", "is not a valid path prefix");
    check(Kind::Route, "/spec/entry/host", bad.clone(), "spec.entry", "is not a valid host");
    check(Kind::Node, "/status/address", bad.clone(), "status.address", "invalid IP address");
    check(Kind::Release, "/spec/image", json!("sha512:00"), "spec.image", "not a digest");
    check(Kind::Token, "/spec/hash", json!("00ff"), "spec.hash", "2 bytes are not the length");
    check(Kind::LogDrain, "/spec/url/bytes", json!("0"), "spec.url.bytes", "hexadecimal digits");
}

#[test]
fn a_value_of_another_type_is_named_with_its_object_and_field() {
    check(Kind::Quota, "/spec/apps", json!("many"), "spec.apps", "invalid type: string");
    check(Kind::Deployment, "/status/weight", json!(256), "status.weight", "invalid value: integer `256`");
    check(
        Kind::Job,
        "/spec/workload/process/stop_timeout_ms",
        json!(-1),
        "spec.workload.process.stop_timeout_ms",
        "-1",
    );
    check(Kind::Team, "/spec", json!(7), "spec", "invalid type: integer");
    check(Kind::User, "/spec", json!({"name": "ada"}), "spec", "missing field `standing`");
    check(Kind::Router, "/status", json!(null), "status", "invalid type: null");
    check(Kind::Provider, "/v", json!(0), "v", "expected a nonzero u32");
    check(Kind::Addon, "/id", json!("x"), "id", "UUID");
}

#[test]
fn what_is_not_a_document_is_refused_as_a_whole() {
    for text in ["", "{", "[]", "null", "7", "{}", "{\"v\":1}", "{\"v\":1}}"] {
        let error = decode(Kind::App, text).unwrap_err();
        assert!(matches!(error, WireError::Unreadable { what: "app", id: None, .. }), "{error}");
    }
    let trailing = format!("{}{{}}", encode(&sample(Kind::App)).unwrap());
    assert_eq!(decode(Kind::App, &trailing).unwrap_err().to_string(), "cannot read app at `.`");
}

#[test]
fn a_duration_that_would_be_rounded_is_not_written() {
    let Object::Release(release) = sample(Kind::Release) else { panic!("not a release") };
    let mut release = Stored::clone(&release);
    release.spec.processes.values_mut().for_each(|process| process.stop_timeout += Duration::from_nanos(1));
    let id = release.id;
    let error = encode(&release.into()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write release {id} at `spec.processes.web.stop_timeout_ms`"));
    assert!(error.source().unwrap().to_string().contains("not a whole number of milliseconds"));
}
