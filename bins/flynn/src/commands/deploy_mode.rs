//! How the deployments of an app go, as it is typed.

use flynn_core::api::DeployMode;

use crate::render::parse_span;

/// What can be said beside the strategy, as it is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    what: What,
    text: String,
    millis: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Batch,
    MaxExtra,
    MaxMissing,
    HealthyFor,
    StartDeadline,
    ProgressDeadline,
    OnFailure,
}

/// Reads `WHAT=VALUE`.
pub(super) fn setting(text: &str) -> Result<Setting, String> {
    let (name, value) = text.split_once('=').ok_or("write WHAT=VALUE, such as healthy-for=10s")?;
    let what = match name {
        "batch" => What::Batch,
        "max-extra" => What::MaxExtra,
        "max-missing" => What::MaxMissing,
        "healthy-for" => What::HealthyFor,
        "start-deadline" => What::StartDeadline,
        "progress-deadline" => What::ProgressDeadline,
        "on-failure" => What::OnFailure,
        _ => {
            return Err(format!(
                "`{name}` cannot be set: use batch, max-extra, max-missing, healthy-for, start-deadline, \
                 progress-deadline or on-failure"
            ));
        }
    };
    let millis = match what {
        What::HealthyFor | What::StartDeadline | What::ProgressDeadline => {
            let span = parse_span(value).map_err(|problem| format!("`{value}` is no time: {problem}"))?;
            Some(u64::try_from(span.as_millis()).map_err(|_| format!("`{value}` is too long"))?)
        }
        _ => None,
    };
    Ok(Setting { what, text: value.to_owned(), millis })
}

/// The document for what was typed. Words have dashes here, and underscores there.
pub(super) fn mode(strategy: &str, settings: Vec<Setting>) -> DeployMode {
    let mut mode = DeployMode { strategy: strategy.replace('-', "_"), ..DeployMode::default() };
    for Setting { what, text, millis } in settings {
        match what {
            What::Batch => mode.batch = Some(text),
            What::MaxExtra => mode.max_extra = Some(text),
            What::MaxMissing => mode.max_missing = Some(text),
            What::HealthyFor => mode.healthy_for_ms = millis,
            What::StartDeadline => mode.start_deadline_ms = millis,
            What::ProgressDeadline => mode.progress_deadline_ms = millis,
            What::OnFailure => mode.on_failure = Some(text.replace('-', "_")),
        }
    }
    mode
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_what_is_sent() {
        let typed = ["batch=25%", "max-missing=1", "healthy-for=10s", "on-failure=roll-back"];
        let sent = mode("in-batches", typed.map(|text| setting(text).unwrap()).into());
        let expect = DeployMode {
            strategy: "in_batches".into(),
            batch: Some("25%".into()),
            max_missing: Some("1".into()),
            healthy_for_ms: Some(10_000),
            on_failure: Some("roll_back".into()),
            ..DeployMode::default()
        };
        assert_eq!(sent, expect);
        for bad in ["batch", "size=1", "healthy-for=10", "start-deadline=soon"] {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }
}
