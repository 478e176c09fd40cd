use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What every refusal of the API is: problem details (RFC 9457).
///
/// | `code` | Status | What the caller can do |
/// |---|---|---|
/// | `malformed` | 400 | send a request that can be read |
/// | `unauthenticated` | 401 | log in |
/// | `forbidden` | 403 | ask somebody who may |
/// | `not_found` | 404 | look for what there is; what the caller may not see is not found either |
/// | `no_such_route` | 404, 405 | look at `/v1/openapi.json` |
/// | `too_slow` | 408 | send the body faster |
/// | `conflict` | 409 | read again and decide anew |
/// | `taken` | 409 | choose another name or host |
/// | `over_quota` | 409 | use less, or have the quota raised |
/// | `key_reused` | 409 | use another `Idempotency-Key` |
/// | `stale` | 412 | read again: the object is not the one of `If-Match` |
/// | `too_large` | 413 | send less |
/// | `invalid` | 422 | correct the fields of `errors` |
/// | `internal` | 500 | tell the operator the request id |
/// | `unavailable` | 503 | repeat the request, with the same `Idempotency-Key` |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// `urn:flynn:problem:` and the code.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The status in words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Of what class it is: a stable word of the table above.
    #[serde(default)]
    pub code: String,
    /// What went wrong, where, and what to do.
    #[serde(default)]
    pub detail: String,
    /// The fields of the request that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The id of the request, as in the `X-Request-Id` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// The field, as a path such as `processes.web.count`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub detail: String,
}

impl Problem {
    /// A problem of this status and code.
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:flynn:problem:{code}"),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            detail: detail.into(),
            errors: Vec::new(),
            request_id: None,
        }
    }

    /// A request that can never succeed because of this field.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let (field, detail) = (field.into(), detail.into());
        let mut problem = Self::new(422, "invalid", "Unprocessable Content", format!("{field}: {detail}"));
        problem.errors.push(FieldError { field, detail });
        problem
    }
}
