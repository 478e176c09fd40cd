//! A server of a later release.

use std::sync::Arc;
use std::time::Duration;

use flynn_core::noun::{App, Stored, Team, TeamId};
use flynn_core::port::{Event, EventLog, Store, TailError};
use flynn_core::rule::Denial;
use flynn_core::{Batch, Principal, Revision, Scope, StoreError, Timestamp, View, wire};
use futures::StreamExt;
use serde_json::{Value, json};

use super::faults::{Scripted, Then};

/// A document as a later release writes it: with more fields.
fn document(object: &flynn_core::noun::Object) -> Value {
    let mut document: Value = wire::encode(object).unwrap().parse().unwrap();
    document["later"] = json!({"deep": [1]});
    document["spec"]["later"] = json!(7);
    document["status"]["later"] = json!("x");
    document["v"] = json!(2);
    document
}

fn team() -> Stored<Team> {
    Stored {
        id: TeamId::NIL,
        team: TeamId::SYSTEM,
        spec: Team { name: "red".parse().unwrap() },
        status: (),
        spec_version: Revision::new(1),
        status_version: Revision::new(1),
        created_at: Timestamp::EPOCH,
    }
}

fn app() -> Stored<App> {
    let Stored { team, spec_version, status_version, created_at, .. } = team();
    let spec = App::new("shop".parse().unwrap());
    Stored {
        id: flynn_core::AppId::NIL,
        team,
        spec,
        status: Default::default(),
        spec_version,
        status_version,
        created_at,
    }
}

fn put(kind: &str, document: Value) -> Value {
    json!({"type": "put", "object": {"kind": kind, "document": document}, "later": true})
}

fn lines(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn later_app() -> Value {
    let mut later = document(&app().into());
    later["spec"]["traffic"] = json!("later");
    put("app", later)
}

#[tokio::test]
async fn objects_of_a_later_release_are_left_out_and_counted() {
    let snapshot = lines(&[
        json!({"type": "snapshot", "revision": 7, "at": 3, "objects": 4, "later": 1}),
        put("team", document(&team().into())),
        later_app(),
        put("later", json!({"v": 9})),
        json!({"type": "later"}),
    ]);
    let server = Scripted::lines(&snapshot, Then::HangUp).await;
    let store = server.client();
    let seen = store.snapshot(Scope::All).await.unwrap();
    assert_eq!((seen.revision, seen.objects.len()), (Revision::new(7), 1));
    assert_eq!(**seen.objects.get(TeamId::NIL).unwrap(), team());
    assert_eq!(store.unreadable(), 3);
}

#[tokio::test]
async fn events_of_a_later_release_are_left_out_and_the_revision_goes_on() {
    let tail = lines(&[
        json!({"type": "later", "what": [1]}),
        json!({"type": "commit", "revision": 8, "at": 4, "events": 4}),
        later_app(),
        put("team", document(&team().into())),
        json!({"type": "removed", "id": "later:00000000-0000-0000-0000-000000000000"}),
        json!({"type": "changed", "id": "team:00000000-0000-0000-0000-000000000000"}),
        json!({"type": "beat", "later": 1}),
        json!({"type": "commit", "revision": 9, "at": 5, "events": 1}),
        json!({"type": "opaque", "problem": "the server cannot write it"}),
        json!({"type": "end", "error": {"type": "later"}}),
    ]);
    let server = Scripted::lines(&tail, Then::HangUp).await;
    let store = server.client();
    let mut tail = store.tail(Scope::All, Revision::new(7));
    let first = tail.next().await.unwrap().unwrap();
    assert_eq!((first.revision, first.events), (Revision::new(8), vec![Event::Put(team().into())]));
    let second = tail.next().await.unwrap().unwrap();
    assert_eq!((second.revision, second.at, second.events), (Revision::new(9), Timestamp::from_millis(5), vec![]));
    assert_eq!(store.unreadable(), 4);
    assert!(matches!(tail.next().await, Some(Err(TailError::Unavailable(_)))));
}

#[tokio::test]
async fn a_view_goes_on_past_what_it_cannot_read() {
    let snapshot = lines(&[json!({"type": "snapshot", "revision": 7, "at": 3, "objects": 1}), later_app()]);
    let commit = lines(&[json!({"type": "commit", "revision": 8, "at": 4, "events": 1}), later_app()]);
    let (first, then) = (Scripted::lines(&snapshot, Then::HangUp).await, Scripted::lines(&commit, Then::Silence).await);
    /// Takes its snapshot from one server and its tail from another.
    struct Both(flynn_core::client::RemoteStore, flynn_core::client::RemoteStore);
    #[async_trait::async_trait]
    impl Store for Both {
        async fn snapshot(&self, scope: Scope) -> Result<flynn_core::port::Snapshot, StoreError> {
            self.0.snapshot(scope).await
        }
        async fn commit(&self, batch: Batch) -> Result<flynn_core::port::Committed, StoreError> {
            self.0.commit(batch).await
        }
    }
    impl EventLog for Both {
        fn tail(&self, scope: Scope, after: Revision) -> flynn_core::port::Tail {
            self.1.tail(scope, after)
        }
    }
    let (view, follower) = View::open(Arc::new(Both(first.client(), then.client())), Scope::All).await.unwrap();
    let follower = tokio::spawn(follower.run());
    let seen = tokio::time::timeout(Duration::from_secs(30), view.wait_for(Revision::new(8))).await.unwrap().unwrap();
    assert!(seen.objects.is_empty());
    follower.abort();
}

#[tokio::test]
async fn a_refusal_of_a_later_release_keeps_its_class() {
    let refusal = |status: &str, code: &str| {
        let error = json!({"type": code, "conflict": {"type": "later"}, "denial": {"type": "later"}});
        let body = json!({"title": "No", "status": 1, "detail": "because", "code": code, "error": error}).to_string();
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let commit = async |status, code| {
        let server = Scripted::start(refusal(status, code), Then::HangUp).await;
        server.client().commit(Batch::new(Principal::System)).await.unwrap_err()
    };
    assert!(matches!(commit("409 Conflict", "conflict").await, StoreError::Conflict { .. }));
    let denied = commit("403 Forbidden", "not_allowed").await;
    assert!(
        matches!(denied, StoreError::NotAllowed { denial: Denial::Reserved { reason }, .. } if reason == "because")
    );
    assert!(matches!(commit("418 Teapot", "later").await, StoreError::Internal { .. }));
}
