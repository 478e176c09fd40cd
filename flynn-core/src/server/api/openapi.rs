//! The OpenAPI 3.1 document, made of the very operations that are mounted.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::Problem;

/// The description of one operation.
#[derive(Debug)]
pub(crate) struct Operation {
    method: &'static str,
    path: &'static str,
    described: Value,
}

impl Operation {
    pub(super) fn new(method: &'static str, path: &'static str, id: &str, summary: &str) -> Self {
        let parameters: Vec<Value> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        let problem = json!({ "$ref": "#/components/responses/Problem" });
        let described = json!({
            "operationId": id,
            "summary": summary,
            "parameters": parameters,
            "responses": { "default": problem },
        });
        let mut operation = Self { method, path, described };
        if method != "get" {
            operation.parameter(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
            operation.parameter(json!({ "$ref": "#/components/parameters/IfMatch" }));
        }
        operation
    }

    /// Its description says more than its summary.
    pub(crate) fn details(&mut self, text: &str) {
        self.described["description"] = json!(text);
    }

    /// It is answered to everybody.
    pub(crate) fn open(&mut self) {
        self.described["security"] = json!([]);
    }

    fn parameter(&mut self, parameter: Value) {
        if let Some(Value::Array(parameters)) = self.described.get_mut("parameters") {
            parameters.push(parameter);
        }
    }

    /// Its query has the properties of `schema`.
    pub(crate) fn query(&mut self, schema: &Schema) {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let mut property = property.clone();
            let text = property.as_object_mut().and_then(|property| property.remove("description"));
            self.parameter(json!({
                "name": name,
                "in": "query",
                "required": required.contains(&name.as_str()),
                "description": text.unwrap_or_default(),
                "schema": property,
            }));
        }
    }

    /// It takes a body of this media type.
    pub(crate) fn body(&mut self, media_type: &str, schema: Value) {
        self.described["requestBody"]["content"][media_type] = json!({ "schema": schema });
    }

    /// It answers with a body of this media type.
    pub(crate) fn answer(&mut self, status: u16, media_type: &str, schema: Value) {
        self.describe_answer(status, json!({ media_type: { "schema": schema } }));
    }

    pub(crate) fn empty_answer(&mut self, status: u16) {
        self.describe_answer(status, Value::Null);
    }

    fn describe_answer(&mut self, status: u16, content: Value) {
        let title = axum::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let mut answer = json!({ "description": title.unwrap_or("Success") });
        if !content.is_null() {
            answer["content"] = content;
        }
        self.described["responses"][status.to_string()] = answer;
    }
}

/// What makes the schemas of an OpenAPI 3.1 document.
pub(super) fn schemas() -> SchemaGenerator {
    // 3.1 takes JSON Schema 2020-12 as it is (OpenAPI 3.1.1 §4.8.24).
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings.into_generator()
}

/// The whole document.
pub(super) fn document(operations: &[Operation], mut schemas: SchemaGenerator) -> Value {
    let problem = json!(schemas.subschema_for::<Problem>());
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method] = operation.described.clone();
    }
    let schemas = schemas.take_definitions(true);
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Flynn",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Apps, their releases, processes and routes on a Flynn cluster. Every refusal is a problem detail (RFC 9457).",
            "license": { "name": "BSD-3-Clause", "identifier": "BSD-3-Clause" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "The caller's name for this one intention: a repetition under the same key changes nothing and is answered like the first.",
                    "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
                },
                "IfMatch": {
                    "name": "If-Match",
                    "in": "header",
                    "description": "The ETag of the object as it was read: it is refused with 412 if the object was changed since.",
                    "schema": { "type": "string" },
                },
            },
            "responses": {
                "Problem": {
                    "description": "Why it was not done",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
        },
    })
}
