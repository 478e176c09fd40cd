//! Builds, releases and deployments.

use flynn_core::Timestamp;
use flynn_core::api::{Build, Deployment, Release};

use super::{Cell, Fields, Table, ago, short, state};
use crate::output::Tone;

fn age(then: flynn_core::api::Time, now: Timestamp) -> Cell {
    Cell::toned(ago(then.0, now), Tone::Faint)
}

fn number(release: Option<u64>) -> String {
    release.map_or(String::new(), |number| format!("v{number}"))
}

/// Step and reason of a failure, or the reason for waiting.
fn detail(build: &Build) -> String {
    match (&build.step, &build.reason) {
        (Some(step), Some(reason)) => format!("{step}: {reason}"),
        (step, reason) => step.iter().chain(reason).map(String::as_str).collect(),
    }
}

pub(crate) fn builds(builds: &[Build], now: Timestamp) -> Table {
    let mut table = Table::new(&["BUILD", "STATE", "RELEASE", "COMMIT", "CREATED", "DETAIL"], "No builds yet.");
    for build in builds {
        let commit = build.commit.as_deref().map(short).unwrap_or_default();
        let (release, created) = (number(build.release), age(build.created_at, now));
        table.row([
            build.number.to_string().into(),
            state(&build.state),
            release.into(),
            commit.into(),
            created,
            detail(build).into(),
        ]);
    }
    table
}

pub(crate) fn releases(releases: &[Release], now: Timestamp) -> Table {
    let mut table = Table::new(&["RELEASE", "SERVES", "CREATED", "DESCRIPTION"], "No releases yet.");
    for release in releases {
        let serves = if release.current { Cell::toned("serves", Tone::Good) } else { "".into() };
        let created = age(release.created_at, now);
        table.row([format!("v{}", release.number).into(), serves, created, release.description.as_str().into()]);
    }
    table
}

pub(crate) fn release(release: &Release, now: Timestamp) -> Fields {
    let processes = release.processes.iter().map(|(name, process)| format!("{name}: {}", process.command.join(" ")));
    Fields::default()
        .with("Release", format!("v{}", release.number))
        .with("Serves", if release.current { Cell::toned("yes", Tone::Good) } else { "no".into() })
        .with("Description", release.description.as_str())
        .with_some("Commit", release.commit.as_deref())
        .with("Image", release.image.as_str())
        .with("Processes", processes.collect::<Vec<_>>().join(", "))
        .with("Config", release.config.join(" "))
        .with("Created", ago(release.created_at.0, now))
}

pub(crate) fn deployments(deployments: &[Deployment], now: Timestamp) -> Table {
    let mut table = Table::new(&["ID", "FROM", "TO", "STATE", "CREATED", "REASON"], "No deployments yet.");
    for deployment in deployments {
        table.row([
            Cell::toned(deployment.id.to_string(), Tone::Faint),
            number(deployment.from).into(),
            number(deployment.to).into(),
            state(&deployment.state),
            age(deployment.created_at, now),
            deployment.reason.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

/// What a deployment does at present.
pub(crate) fn deploying(deployment: &Deployment) -> String {
    let (target, state) = (number(deployment.to), deployment.state.replace('_', " "));
    match &deployment.reason {
        Some(reason) => format!("Deploying {target}: {state}: {reason}"),
        None => format!("Deploying {target}: {state}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Style;
    use crate::render::samples::{self, ALIGNED, COLOUR, NOW};

    #[test]
    fn builds_say_why_they_failed() {
        let mut failed = samples::build(2, "failed");
        (failed.step, failed.reason) = (Some("install dependencies".into()), Some("no such package".into()));
        let mut done = samples::build(1, "succeeded");
        (done.release, done.commit) = (Some(1), Some("0123456789abcdef".into()));
        assert_eq!(
            builds(&[failed, done], NOW).render(ALIGNED),
            "BUILD  STATE      RELEASE  COMMIT        CREATED  DETAIL\n\
             2      failed                            2m ago   install dependencies: no such package\n\
             1      succeeded  v1       0123456789ab  2m ago\n"
        );
    }

    #[test]
    fn the_release_that_serves_stands_out() {
        let mut old = samples::release(2);
        old.current = false;
        let list = [samples::release(3), old];
        assert_eq!(releases(&list, NOW).render(Style::PLAIN), "v3\tserves\t2m ago\tSet A\nv2\t\t2m ago\tSet A\n");
        assert!(releases(&list, NOW).render(COLOUR).contains("\u{1b}[32mserves\u{1b}[0m"));
        assert_eq!(
            release(&list[0], NOW).render(Style::PLAIN),
            "Release\tv3\nServes\tyes\nDescription\tSet A\nImage\tsha256:00\nProcesses\tweb: python app.py\nConfig\tA\nCreated\t2m ago\n"
        );
    }

    #[test]
    fn deployments_show_where_they_go() {
        let mut failed = samples::deployment("rolling_back");
        failed.reason = Some("web.1 exited with 1".into());
        let id = failed.id;
        assert_eq!(
            deployments(std::slice::from_ref(&failed), NOW).render(Style::PLAIN),
            format!("{id}\tv2\tv3\trolling back\t2m ago\tweb.1 exited with 1\n")
        );
        assert_eq!(deploying(&failed), "Deploying v3: rolling back: web.1 exited with 1");
    }
}
