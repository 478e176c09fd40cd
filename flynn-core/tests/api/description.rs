//! The API describes itself, completely and in a form that tools can read.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use super::harness::{Cluster, send};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

#[tokio::test]
async fn what_is_described_is_mounted_and_no_more() {
    let cluster = Cluster::start().await;
    let nobody = cluster.nobody();
    let document = nobody.get("/v1/openapi.json").await.ok();
    let mut described = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let filled: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        for method in METHODS {
            let request = nobody.request(method.to_uppercase().parse::<Method>().unwrap(), &filled.join("/"));
            let reply = send(request).await;
            match item.get(method) {
                Some(operation) if operation["security"] == Value::Array(vec![]) => {
                    assert!([200, 401].contains(&reply.status), "{method} {path}: {reply:?}");
                    described += 1;
                }
                Some(_) => {
                    reply.refused(401, "unauthenticated");
                    described += 1;
                }
                None => drop(reply.refused(405, "no_such_route")),
            }
        }
    }
    assert!(described >= 50, "{described}");
}

#[tokio::test]
async fn the_document_is_one_of_openapi_3_1() {
    let cluster = Cluster::start().await;
    let document = cluster.nobody().get("/v1/openapi.json").await.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    for field in ["title", "version"] {
        assert!(document["info"][field].is_string(), "{field}");
    }
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        assert!(METHODS.contains(&method), "{place}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{place}: its id is another's");
        let summary = operation["summary"].as_str().unwrap();
        assert!(summary.ends_with('.'), "{place}: {summary}");
        assert!(operation["responses"].as_object().unwrap().len() >= 2, "{place}: a success and the problem");
        let parameters = operation["parameters"].as_array().unwrap();
        let mut named = BTreeSet::new();
        for parameter in parameters {
            let parameter = resolve(&document, parameter);
            let (name, place_of) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            assert!(["path", "query", "header"].contains(&place_of), "{place}");
            assert!(parameter["schema"].is_object(), "{place}: {name}");
            assert!(named.insert((place_of, name)), "{place}: {name} is there twice");
            assert!(place_of != "path" || parameter["required"] == true, "{place}");
        }
        let in_path: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let declared: BTreeSet<&str> =
            named.iter().filter(|(kind, _)| *kind == "path").map(|(_, name)| *name).collect();
        assert_eq!(in_path, declared, "{place}");
        assert_eq!(named.contains(&("header", "Idempotency-Key")), method != "get", "{place}");
        for (media_type, body) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            assert!(media_type.contains('/') && body["schema"].is_object(), "{place}");
        }
    }
    let mut references = 0;
    check_references(&document, &document, &mut references);
    assert!(references > 100, "{references}");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{name}");
        assert!(schema["description"].is_string(), "{name} does not say what it is");
    }
    for name in [
        "App",
        "Release",
        "Job",
        "Deployment",
        "Build",
        "Route",
        "Token",
        "Team",
        "Node",
        "Quota",
        "Problem",
        "AppPage",
    ] {
        assert!(schemas.contains_key(name), "{name}");
    }
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("references stay within the document");
            document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => value,
    }
}

fn check_references(document: &Value, value: &Value, found: &mut usize) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("$ref") {
                *found += 1;
                resolve(document, value);
            }
            fields.values().for_each(|value| check_references(document, value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(document, value, found)),
        _ => {}
    }
}
