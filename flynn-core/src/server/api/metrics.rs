//! What is counted, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::document::word;
use crate::noun::{Kind, Object};
use crate::port::Snapshot;
use axum::http::{Method, StatusCode};

/// The requests since the start.
#[derive(Debug, Default)]
pub(super) struct Requests {
    counted: Mutex<BTreeMap<(String, &'static str, u16), Count>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    requests: u64,
    seconds: f64,
}

impl Requests {
    /// Counts a request under the pattern of its path, so that there are as many series as routes.
    pub(super) fn count(&self, took: Duration, method: &Method, path: &'static str, status: StatusCode) {
        let method = match *method {
            Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => method.as_str(),
            _ => "other",
        };
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counted.entry((method.to_owned(), path, status.as_u16())).or_default();
        count.requests += 1;
        count.seconds += took.as_secs_f64();
    }
}

/// All metrics at this moment.
pub(super) fn render(requests: &Requests, snapshot: &Snapshot) -> String {
    let mut text = String::new();
    let head = |text: &mut String, name: &str, kind: &str, help: &str| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    };
    head(&mut text, "flynn_store_revision", "gauge", "The last commit that reads include.");
    let _ = writeln!(text, "flynn_store_revision {}", snapshot.revision);
    head(&mut text, "flynn_objects", "gauge", "Live objects by kind and state.");
    for ((kind, state), count) in census(snapshot) {
        let _ = writeln!(text, "flynn_objects{{kind=\"{kind}\",state=\"{state}\"}} {count}");
    }
    let counted = requests.counted.lock().unwrap_or_else(PoisonError::into_inner).clone();
    head(&mut text, "flynn_http_requests_total", "counter", "Requests answered.");
    for ((method, path, status), count) in &counted {
        let labels = format!("method=\"{method}\",path=\"{path}\",status=\"{status}\"");
        let _ = writeln!(text, "flynn_http_requests_total{{{labels}}} {}", count.requests);
    }
    head(&mut text, "flynn_http_request_seconds_total", "counter", "Time until their answers began.");
    for ((method, path, status), count) in &counted {
        let labels = format!("method=\"{method}\",path=\"{path}\",status=\"{status}\"");
        let _ = writeln!(text, "flynn_http_request_seconds_total{{{labels}}} {:.6}", count.seconds);
    }
    text
}

fn census(snapshot: &Snapshot) -> BTreeMap<(Kind, &'static str), u64> {
    let mut census: BTreeMap<_, u64> = Kind::ALL.iter().map(|kind| ((*kind, ""), 0)).collect();
    for object in snapshot.objects.all() {
        let kind = object.id().kind();
        *census.entry((kind, state(&object))).or_default() += 1;
    }
    // A kind that has states is counted by them alone.
    let stated: Vec<Kind> = census.keys().filter(|(_, state)| !state.is_empty()).map(|(kind, _)| *kind).collect();
    census.retain(|(kind, state), _| !state.is_empty() || !stated.contains(kind));
    census
}

fn state(object: &Object) -> &'static str {
    match object {
        Object::App(app) => word::lifecycle(app.spec.lifecycle),
        Object::Build(build) => word::build(&build.status.state),
        Object::Deployment(deployment) => word::deployment(&deployment.status.state),
        Object::Job(job) => word::job(&job.status.state),
        Object::Node(node) => word::liveness(node.status.liveness),
        Object::Router(router) => word::liveness(router.status.liveness),
        _ => "",
    }
}
