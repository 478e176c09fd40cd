//! An app that is being destroyed: everything that hangs from it goes, and last the app itself.

use flynn_core::AppId;
use flynn_core::noun::{
    Addon, Build, BuildIntent, BuildState, BuildStatus, Certificate, DeploymentState, DeploymentStatus, LogDrain,
    Route, Stored, Token, TokenScope, Volume,
};

use super::ledger::Written;
use super::retire::Files;
use super::{Ledger, Setting, stop};

/// Takes apart what can go at present.
///
/// Routes go first, so that routers stop sending while instances drain. What instances and builds refer to
/// stays until those have ended.
pub(super) fn go_on(ledger: &mut Ledger<'_>, setting: &Setting<'_>, app: AppId, files: &Files) {
    remove_all::<Route>(ledger, |route| route.spec.app == app);
    remove_all::<Certificate>(ledger, |certificate| certificate.spec.app == app);
    remove_all::<LogDrain>(ledger, |drain| drain.spec.app == app);
    remove_all::<Token>(ledger, |token| matches!(token.spec.scope, TokenScope::App(_, own) if own == app));
    if let Some(formation) = ledger.formation(app).map(|formation| formation.id) {
        ledger.remove(formation);
    }
    detach_addons(ledger, app);
    for deployment in &files.deployments {
        if !deployment.status.state.is_end() {
            let state = DeploymentState::Failed { reason: "the app is being destroyed".to_owned() };
            ledger.report(deployment.id, DeploymentStatus { state, ..deployment.status.clone() });
        }
        ledger.remove(deployment.id);
    }
    for job in ledger.jobs(app) {
        stop::begin(ledger, setting, job.id);
    }
    let mut is_building = false;
    for build in &files.builds {
        if let BuildState::Pending { .. } = build.status.state {
            ledger.report(build.id, BuildStatus { state: BuildState::Cancelled, since: setting.now });
        } else if !build.status.state.is_end() && !has_ended(ledger, build) {
            is_building = true;
            ledger.update(build.id, Build { desired: BuildIntent::Cancel, ..build.spec.clone() });
            continue;
        }
        ledger.remove(build.id);
    }
    if is_building || !ledger.jobs(app).is_empty() {
        return;
    }
    remove_all::<Volume>(ledger, |volume| volume.spec.app == app);
    for release in &files.releases {
        ledger.remove(release.id);
    }
    ledger.remove(app);
}

/// Whether the build ended earlier in this pass.
fn has_ended(ledger: &Ledger<'_>, build: &Stored<Build>) -> bool {
    ledger.objects().get(build.id).is_none_or(|build| build.status.state.is_end())
}

fn remove_all<N: Written>(ledger: &mut Ledger<'_>, hangs: impl Fn(&Stored<N>) -> bool) {
    let ids: Vec<_> = ledger.objects().iter::<N>().filter(|stored| hangs(stored)).map(|stored| stored.id).collect();
    ids.into_iter().for_each(|id| ledger.remove(id));
}

fn detach_addons(ledger: &mut Ledger<'_>, app: AppId) {
    let attached = ledger.objects().iter::<Addon>().filter(|addon| addon.spec.apps.contains(&app));
    let attached: Vec<_> = attached.map(|addon| (addon.id, addon.spec.clone())).collect();
    for (id, mut addon) in attached {
        addon.apps.remove(&app);
        ledger.update(id, addon);
    }
}
