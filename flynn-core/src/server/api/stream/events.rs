//! What changes.

use std::collections::VecDeque;

use axum::body::Body;
use axum::http::Response;
use futures::{StreamExt, stream};

use super::sse::{self, Reader};
use crate::api::{self, EventQuery, Time};
use crate::noun::{App, Object, Team};
use crate::port::{Commit, Event, Tail, TailError};
use crate::revision::Revision;
use crate::scope::Scope;
use crate::server::api::document::word;
use crate::server::api::exchange::Query;
use crate::server::api::{ApiError, Call};

pub(super) async fn follow(call: Call, Query(query): Query<EventQuery>) -> Result<Response<Body>, ApiError> {
    let scope = scope(&call, &query)?;
    let last = match call.head.headers.get("last-event-id") {
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse().ok());
            Some(id.ok_or_else(|| ApiError::malformed("Last-Event-ID", "use the id of an event, which is a number"))?)
        }
        None => query.after,
    };
    let after = last.map_or(call.snapshot.revision, Revision::new);
    let tail = call.api.state.events.tail(scope, after);
    let following = Following { tail, reader: Reader::new(&call, scope), ready: VecDeque::new(), ended: false };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((event, following))
    });
    sse::answer(&call, scope, events.boxed())
}

fn scope(call: &Call, query: &EventQuery) -> Result<Scope, ApiError> {
    match (&query.app, &query.team) {
        (Some(_), Some(_)) => Err(ApiError::invalid("team", "an app belongs to one team: leave one of them out")),
        (Some(app), None) => Ok(Scope::App(call.app_named(app)?.id)),
        (None, Some(team)) => Ok(Scope::Team(call.team_named(team)?.id)),
        (None, None) if call.reads_all() => Ok(Scope::All),
        (None, None) => {
            let teams = call.objects().iter::<Team>().map(|team| Scope::Team(team.id));
            let mut readable: Vec<Scope> = teams.filter(|scope| call.may_read(*scope)).collect();
            if readable.is_empty() {
                let apps = call.objects().iter::<App>().map(|app| Scope::App(app.id));
                readable = apps.filter(|scope| call.may_read(*scope)).collect();
            }
            match readable.as_slice() {
                [only] => Ok(*only),
                [] => Err(ApiError::forbidden("there is nothing that this token may read")),
                _ => Err(ApiError::invalid("team", "say which of your teams, or which app")),
            }
        }
    }
}

struct Following {
    tail: Tail,
    reader: Reader,
    ready: VecDeque<String>,
    ended: bool,
}

impl Following {
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            match self.tail.next().await {
                Some(Ok(commit)) => match self.reader.check() {
                    Ok(()) => self.ready = shown(commit),
                    Err(denial) => return Some(self.end("end", denial.to_string())),
                },
                Some(Err(TailError::Compacted { .. })) => {
                    return Some(self.end("reload", String::from("events are missing: read everything again")));
                }
                Some(Err(TailError::NotAllowed(denial))) => return Some(self.end("end", denial.to_string())),
                Some(Err(error)) => {
                    tracing::warn!(error = %crate::error::Chain(&error), "api: events broke off");
                    return Some(self.end("end", String::from("the server cannot follow the store: ask again")));
                }
                None => return Some(self.end("end", String::from("the log of events has ended: ask again"))),
            }
        }
    }

    fn end(&mut self, name: &str, text: String) -> String {
        self.ended = true;
        sse::notice(name, text)
    }
}

/// The events of a commit. Only the last has the id, so that who goes on from there has seen all.
fn shown(commit: Commit) -> VecDeque<String> {
    let Commit { revision, at, events } = commit;
    let count = events.len();
    let shown = events.into_iter().enumerate().map(|(place, event)| {
        let id = (place + 1 == count).then_some(revision.get());
        sse::event("change", id, &document(revision, Time(at), event))
    });
    shown.collect()
}

fn document(revision: Revision, time: Time, event: Event) -> api::Event {
    let (id, change, app, state) = match event {
        Event::Put(object) => (object.id(), "put", object.footprint().app, state(&object)),
        Event::Removed(id) => (id, "removed", None, None),
    };
    api::Event {
        revision: revision.get(),
        time,
        kind: id.kind().as_str().to_owned(),
        id: id.uuid().to_string(),
        change: change.to_owned(),
        app,
        state: state.map(str::to_owned),
    }
}

fn state(object: &Object) -> Option<&'static str> {
    match object {
        Object::Job(job) => Some(word::job(&job.status.state)),
        Object::Build(build) => Some(word::build(&build.status.state)),
        Object::Deployment(deployment) => Some(word::deployment(&deployment.status.state)),
        _ => None,
    }
}
