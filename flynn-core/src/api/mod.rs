//! The documents of the public HTTP API under `/v1`: what it is asked with and what it answers.
//!
//! They are apart from the nouns and from the documents a store keeps, so that those can change while these
//! stay. All are JSON objects. Readers ignore fields they do not know. Ids are text, times RFC 3339 in UTC, durations
//! and sizes whole numbers with the unit in the name (`_ms`, `_s`, `_bytes`, `_millis` for thousandths of a
//! core). A `state` and what else takes one of several words is text in answers, because a later server may
//! have further words. Names in requests are text as well: the server says which rule one breaks.
//!
//! # Evolution
//!
//! A field may be added to an answer, and to a request if it may be left out. A word may be added where an answer
//! has words. Nothing is renamed, removed or given another meaning below `/v1`.

mod access;
mod app;
mod build;
mod certificate;
mod cluster;
mod image;
mod problem;
mod process;
mod release;
mod route;
mod stream;
mod time;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use access::{
    AuditEntry, AuditObject, IssuedToken, Login, Member, Membership, NewMember, NewTeam, NewToken, NewUser, Team,
    Token, User, Whoami,
};
pub use app::{App, AppChange, AppQuery, Config, ConfigChange, ConfigChanged, DeployMode, NewApp};
pub use build::{Build, NewBuild};
pub use certificate::{Certificate, NewCertificate};
pub use cluster::{Amounts, DefaultQuota, Limits, Node, NodeChange, Quota, Used};
pub use image::NewImage;
pub use problem::{FieldError, Problem};
pub use process::{Formation, FormationChange, Job, JobQuery, Jobs, Placement, ProcessScale, Restart, ScaleChange};
pub use release::{Deployment, ProcessType, Release, Released, Rollback};
pub use route::{Domain, NewDomain, NewRoute, Route};
pub use stream::{Event, EventQuery, LogEntry, LogQuery, NewExec, NewRun, Notice};
pub use time::{Time, TimeError};

use crate::id::Id;

/// Some entries of a list, and where the following ones begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to ask for as `cursor` to get the next page; none if this is the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageQuery {
    /// Where the page begins: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The most entries of the page, from 1 to 200; 50 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// That the caller means it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confirm {
    /// The name of what is to be destroyed, once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// In documents an id is a UUID as text.
impl<N> JsonSchema for Id<N> {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What a later server may send, and what an earlier one may leave out.
    #[test]
    fn answers_are_read_from_later_and_earlier_servers() {
        let id = "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b";
        let later = json!({
            "id": id, "app": id, "name": "web.1", "state": "hibernating", "desired": "up", "command": ["./serve"],
            "attempt": 0, "since": "2027-01-15T08:00:00Z", "created_at": "2027-01-15T08:00:00.000Z", "version": 7,
            "colour": { "of": "night" },
        });
        let job: Job = serde_json::from_value(later).unwrap();
        assert_eq!((job.state.as_str(), job.exit_code, job.version), ("hibernating", None, 7));
        let bare: Problem = serde_json::from_value(json!({ "status": 502 })).unwrap();
        assert_eq!((bare.status, bare.code.as_str(), bare.errors.len()), (502, "", 0));
        let page: Page<AuditObject> = serde_json::from_value(json!({ "items": [] })).unwrap();
        assert_eq!(page.next, None);
    }

    #[test]
    fn what_is_left_out_of_a_request_is_not_sent() {
        let sent = |value: Value| value.as_object().unwrap().len();
        assert_eq!(sent(json!(NewApp::default())), 0);
        assert_eq!(sent(json!(AppChange::default())), 0);
        assert_eq!(sent(json!(ScaleChange { count: Some(2), ..ScaleChange::default() })), 1);
        let change = ConfigChange { values: [(String::from("A"), None)].into() };
        assert_eq!(json!(change), json!({ "values": { "A": null } }), "a variable that goes is named");
    }

    #[test]
    fn secrets_are_not_shown() {
        let id = Id::NIL;
        let token = Token {
            id,
            label: String::from("ci"),
            scope: String::from("user"),
            user: None,
            of: None,
            expires_at: None,
            created_at: Time::default(),
            version: 1,
        };
        let issued = IssuedToken { token, secret: String::from("flynn_hunter2") };
        assert!(!format!("{issued:?}").contains("hunter2"));
        let key = NewCertificate { key: String::from("hunter2"), ..NewCertificate::default() };
        assert!(!format!("{key:?}").contains("hunter2"));
    }
}
