//! Builds that succeeded become releases, and those are deployed.

use flynn_core::noun::{
    App, BuildState, DeployIntent, DeployMode, DeployPolicy, Deployment, DeploymentId, Release, ReleaseCause, ReleaseId,
};
use flynn_core::{AppId, Ids};

use super::retire::Files;
use super::{Ledger, Setting};

/// Makes the release of the oldest build that succeeded and has none, and deploys it.
///
/// Both are created together, and only while no deployment is open. So a build without a release is one
/// that waits, and builds that finish close together are deployed one after the other.
pub(super) fn follow(ledger: &mut Ledger<'_>, setting: &Setting<'_>, ids: &mut Ids, app: AppId, files: &Files) {
    let waiting = files.builds.iter().find(|build| {
        let has_release = |release: &&std::sync::Arc<_>| is_of(release, build.id);
        matches!(build.status.state, BuildState::Succeeded(_)) && !files.releases.iter().any(|r| has_release(&r))
    });
    let (Some(build), Some(owner)) = (waiting, ledger.objects().get(app).cloned()) else {
        return;
    };
    let BuildState::Succeeded(output) = &build.status.state else {
        return;
    };
    if ledger.open_deployment(app).is_some() {
        return;
    }
    let release = Release {
        app,
        number: files.releases.iter().map(|release| release.spec.number).max().unwrap_or(0) + 1,
        image: output.image,
        env: owner.spec.env.clone(),
        processes: output.processes.clone(),
        cause: ReleaseCause::Build(build.id),
        commit: build.spec.commit.clone(),
        branch: build.spec.branch.clone(),
    };
    let to: ReleaseId = ids.next(setting.now);
    let usual = || DeployMode { strategy: setting.policy.strategy.clone(), policy: DeployPolicy::default() };
    let DeployMode { strategy, policy } = owner.spec.deploys.clone().unwrap_or_else(usual);
    let deployment =
        Deployment { app, from: owner.status.release, to, strategy, policy, desired: DeployIntent::Proceed };
    ledger.create(to, owner.team, release);
    let id: DeploymentId = ids.next(setting.now);
    ledger.create(id, owner.team, deployment);
    // The release takes a copy of the configuration.
    ledger.rest_on::<App>(app, app);
}

fn is_of(release: &flynn_core::noun::Stored<Release>, build: flynn_core::BuildId) -> bool {
    release.spec.cause == ReleaseCause::Build(build)
}
