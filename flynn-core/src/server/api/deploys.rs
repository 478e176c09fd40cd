//! How the deployments of an app go: between the words of a request and the values of the noun.

use std::time::Duration;

use super::ApiError;
use super::document::word;
use crate::api::{self, FieldError};
use crate::noun::{DeployMode, DeployPolicy, OnFailure, Share, Strategy};

/// The word for what the platform does where an app says nothing.
const USUAL: &str = "usual";

/// What a request asks for; nothing if it is the usual.
pub(super) fn mode(wish: &api::DeployMode) -> Result<Option<DeployMode>, ApiError> {
    if wish.strategy == USUAL {
        return match *wish == (api::DeployMode { strategy: USUAL.to_owned(), ..api::DeployMode::default() }) {
            true => Ok(None),
            false => Err(ApiError::invalid("deploys.strategy", "with `usual` nothing else can be said")),
        };
    }
    let mut errors = Vec::new();
    let mut wrong = |field: &str, detail: String| {
        errors.push(FieldError { field: format!("deploys.{field}"), detail });
    };
    let mut share = |field: &str, text: &Option<String>| {
        let read = text.as_deref().map(str::parse::<Share>).transpose();
        read.map_err(|error| wrong(field, error.to_string())).ok().flatten()
    };
    let (max_extra, max_missing) = (share("max_extra", &wish.max_extra), share("max_missing", &wish.max_missing));
    let batch = share("batch", &wish.batch);
    let is_batched = wish.strategy == "in_batches";
    if is_batched != wish.batch.is_some() {
        let detail = if is_batched { "say how many at a time, such as 2 or 25%" } else { "only `in_batches` has one" };
        wrong("batch", detail.to_owned());
    }
    let strategy = match wish.strategy.as_str() {
        "all_at_once" => Strategy::AllAtOnce,
        "one_by_one" => Strategy::OneByOne,
        "one_down_one_up" => Strategy::OneDownOneUp,
        "in_batches" => Strategy::InBatches { size: batch.unwrap_or(Share::Count(1)) },
        _ => {
            let known = "use one_by_one, one_down_one_up, in_batches, all_at_once, or usual";
            wrong("strategy", known.to_owned());
            Strategy::OneByOne
        }
    };
    let usual = DeployPolicy::default();
    let on_failure = match wish.on_failure.as_deref() {
        None => usual.on_failure,
        Some("roll_back") => OnFailure::RollBack,
        Some("pause") => OnFailure::Pause,
        Some("keep") => OnFailure::Keep,
        Some(_) => {
            wrong("on_failure", "use roll_back, pause or keep".to_owned());
            usual.on_failure
        }
    };
    let span = |millis: Option<u64>, usual: Duration| millis.map_or(usual, Duration::from_millis);
    let policy = DeployPolicy {
        start_deadline: span(wish.start_deadline_ms, usual.start_deadline),
        progress_deadline: span(wish.progress_deadline_ms, usual.progress_deadline),
        healthy_for: span(wish.healthy_for_ms, usual.healthy_for),
        max_extra,
        max_missing,
        on_failure,
    };
    if errors.is_empty() { Ok(Some(DeployMode { strategy, policy })) } else { Err(ApiError::invalid_fields(errors)) }
}

/// What an app says.
pub(super) fn document(mode: &DeployMode) -> api::DeployMode {
    let DeployMode { strategy, policy } = mode;
    let millis = |span: Duration| u64::try_from(span.as_millis()).ok();
    api::DeployMode {
        strategy: word::strategy(strategy).to_owned(),
        batch: match strategy {
            Strategy::InBatches { size } => Some(size.to_string()),
            _ => None,
        },
        max_extra: policy.max_extra.map(|share| share.to_string()),
        max_missing: policy.max_missing.map(|share| share.to_string()),
        healthy_for_ms: millis(policy.healthy_for),
        start_deadline_ms: millis(policy.start_deadline),
        progress_deadline_ms: millis(policy.progress_deadline),
        on_failure: Some(
            match policy.on_failure {
                OnFailure::RollBack => "roll_back",
                OnFailure::Pause => "pause",
                OnFailure::Keep => "keep",
            }
            .to_owned(),
        ),
    }
}
