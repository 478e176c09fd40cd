//! What is old enough goes to the history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flynn_core::AppId;
use flynn_core::noun::{
    Build, BuildState, Deployment, Job, Objects, Purpose, Release, ReleaseCause, ReleaseId, Stored,
};

use super::{Ledger, Setting, prepare};

/// What an app had before the pass.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Its releases, by number.
    pub(super) releases: Vec<Arc<Stored<Release>>>,
    /// Its deployments, by age.
    pub(super) deployments: Vec<Arc<Stored<Deployment>>>,
    /// Its builds, by number.
    pub(super) builds: Vec<Arc<Stored<Build>>>,
}

/// The files of all apps.
#[derive(Debug, Default)]
pub(super) struct Cabinet(BTreeMap<AppId, Files>);

impl Cabinet {
    pub(super) fn of(objects: &Objects) -> Self {
        let mut files: BTreeMap<AppId, Files> = BTreeMap::new();
        for release in objects.iter::<Release>() {
            files.entry(release.spec.app).or_default().releases.push(release.clone());
        }
        for deployment in objects.iter::<Deployment>() {
            files.entry(deployment.spec.app).or_default().deployments.push(deployment.clone());
        }
        for build in objects.iter::<Build>() {
            files.entry(build.spec.app).or_default().builds.push(build.clone());
        }
        for file in files.values_mut() {
            file.releases.sort_by_key(|release| release.spec.number);
            file.deployments.sort_by_key(|deployment| (deployment.created_at, deployment.id));
            file.builds.sort_by_key(|build| build.spec.number);
        }
        Self(files)
    }

    pub(super) fn take(&mut self, app: AppId) -> Files {
        self.0.remove(&app).unwrap_or_default()
    }
}

/// Whether somebody may still wait for the exit of this ended job.
pub(super) fn is_awaited(job: &Stored<Job>, setting: &Setting<'_>) -> bool {
    let is_one_off = matches!(job.spec.purpose, Purpose::OneOff { .. });
    is_one_off && setting.now < job.status.since + setting.policy.kept_one_off
}

/// Removes from `app` what goes beyond the limits of the policy and is not needed.
pub(super) fn old(ledger: &mut Ledger<'_>, setting: &Setting<'_>, app: AppId, files: &Files) {
    for job in ledger.jobs(app) {
        if !matches!(job.spec.purpose, Purpose::OneOff { .. }) || !job.status.state.is_end() {
            continue;
        }
        // A deployment still has to see how its release command ended.
        if ledger.open_deployment(app).is_some_and(|open| prepare::job_of(open.id) == job.id) {
            continue;
        }
        if is_awaited(&job, setting) {
            ledger.look_again(job.status.since + setting.policy.kept_one_off);
        } else {
            ledger.remove(job.id);
        }
    }
    let ended = files.deployments.iter().filter(|deployment| deployment.status.state.is_end());
    for deployment in all_but_last(ended, setting.policy.kept_deployments) {
        ledger.remove(deployment.id);
    }
    let has_release =
        |build: &Arc<Stored<Build>>| files.releases.iter().any(|r| r.spec.cause == ReleaseCause::Build(build.id));
    let ended = files.builds.iter().filter(|build| match build.status.state {
        // Without its release it still has to be deployed.
        BuildState::Succeeded(_) => has_release(build),
        _ => build.status.state.is_end(),
    });
    for build in all_but_last(ended, setting.policy.kept_builds) {
        ledger.remove(build.id);
    }
    let needed = needed(ledger, app);
    for release in all_but_last(files.releases.iter(), setting.policy.kept_releases) {
        if needed.contains(&release.id) {
            continue;
        }
        // A build that outlived its release would look like one that still waits for it.
        if let ReleaseCause::Build(build) = release.spec.cause {
            ledger.remove(build);
        }
        ledger.remove(release.id);
    }
}

/// The releases that something names.
fn needed(ledger: &Ledger<'_>, app: AppId) -> BTreeSet<ReleaseId> {
    let serving = ledger.objects().get(app).and_then(|app| app.status.release);
    let open = ledger.open_deployment(app).map(|open| [Some(open.spec.to), open.spec.from]);
    let jobs = ledger.jobs(app).into_iter().map(|job| job.spec.release);
    jobs.chain(serving).chain(open.into_iter().flatten().flatten()).collect()
}

fn all_but_last<T>(items: impl Iterator<Item = T>, kept: usize) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.truncate(items.len().saturating_sub(kept));
    items
}
