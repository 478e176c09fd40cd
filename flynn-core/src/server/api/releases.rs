//! Releases and the deployments that bring them about.

use std::sync::Arc;

use super::document::{deployment as deployment_document, release as document};
use super::edit::Edit;
use super::exchange::{Accepted, Created, Json, Query, Shown};
use super::routes::Routes;
use super::{ApiError, Call};
use crate::api::{self, Page, PageQuery, Released, Rollback};
use crate::change::Expectation;
use crate::noun::{
    App, AppId, DeployIntent, DeployMode, DeployPolicy, Deployment, DeploymentId, DeploymentState, Objects, Release,
    ReleaseCause, ReleaseId, Stored,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/apps/{app}/releases", "listReleases", "The releases of an app, the newest first.", list)
        .get("/v1/apps/{app}/releases/{release}", "getRelease", "A release, by number (`7` or `v7`) or id.", get)
        .post("/v1/apps/{app}/rollback", "rollBack", "Goes back to the image and configuration of a release.", rollback)
        .details(
            "It makes a release that is a copy of the one gone back to, and a deployment that brings it about. The \
             configuration of the app becomes that of the release.",
        )
        .get(
            "/v1/apps/{app}/deployments",
            "listDeployments",
            "The deployments of an app, the newest first.",
            deployments,
        )
        .get(
            "/v1/apps/{app}/deployments/{deployment}",
            "getDeployment",
            "A deployment, by id; `current` is the one under way.",
            deployment,
        )
        .post(
            "/v1/apps/{app}/deployments/{deployment}/abort",
            "abortDeployment",
            "Goes back to the release that served before.",
            async |call, ()| intend(call, DeployIntent::Abort).await,
        )
        .post(
            "/v1/apps/{app}/deployments/{deployment}/pause",
            "pauseDeployment",
            "Holds a deployment where it is.",
            async |call, ()| intend(call, DeployIntent::Pause).await,
        )
        .post(
            "/v1/apps/{app}/deployments/{deployment}/resume",
            "resumeDeployment",
            "Lets a deployment that was held go on.",
            async |call, ()| intend(call, DeployIntent::Proceed).await,
        )
}

async fn list(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::Release>>, ApiError> {
    let app = call.app()?.id;
    let matches = |release: &Stored<Release>| release.spec.app == app;
    let page = call.timeline(app, &query, true, matches, |release| document(call.objects(), release)).await?;
    Ok(Shown::new(page))
}

/// Whether `text` means this release.
fn is_meant(release: &Stored<Release>, text: &str) -> bool {
    let number = text.strip_prefix('v').unwrap_or(text);
    number.parse() == Ok(release.spec.number) || text.parse::<ReleaseId>().is_ok_and(|id| id == release.id)
}

async fn get(call: Call, (): ()) -> Result<Shown<api::Release>, ApiError> {
    let app = call.app()?.id;
    let text = call.param("release");
    let matches = |release: &Stored<Release>| release.spec.app == app && is_meant(release, text);
    let live = call.objects().iter::<Release>().find(|release| matches(release)).cloned();
    let found = match live {
        Some(release) => Some(release),
        None => call.archived::<Release>(app, matches).await?,
    };
    let release = found.ok_or_else(|| ApiError::not_found("release", text))?;
    Ok(Shown::of(document(call.objects(), &release), release.spec_version))
}

/// A release that is to follow `from`. Its number is chosen when it is created.
pub(super) struct Next<'a> {
    pub(super) app: &'a Stored<App>,
    /// The one that serves; none if this is the first.
    pub(super) from: Option<ReleaseId>,
    pub(super) release: Release,
}

/// Creates a release and the deployment that brings it about.
pub(super) fn deploy(edit: &mut Edit<'_>, next: Next<'_>) -> Result<(), ApiError> {
    let Next { app, from, release } = next;
    if let Some(open) = open_deployment(edit.objects, app.id) {
        let number = edit.objects.get(open.spec.to).map_or(0, |release| release.spec.number);
        let detail = format!("the deployment of v{number} is under way: wait for its end, or abort it");
        return Err(ApiError::conflict(detail));
    }
    edit.expect(Expectation::Status(app.id.into(), app.status_version));
    let own = edit.objects.iter::<Release>().filter(|release| release.spec.app == app.id);
    let number = own.map(|release| release.spec.number).max().unwrap_or(0) + 1;
    let to = edit.create(app.team, Release { number, ..release });
    let usual = || DeployMode { strategy: edit.api().state.options.strategy.clone(), policy: DeployPolicy::default() };
    let DeployMode { strategy, policy } = app.spec.deploys.clone().unwrap_or_else(usual);
    let deployment = Deployment { app: app.id, from, to, strategy, policy, desired: DeployIntent::Proceed };
    edit.create(app.team, deployment);
    Ok(())
}

pub(super) fn open_deployment(objects: &Objects, app: AppId) -> Option<&Arc<Stored<Deployment>>> {
    let mut own = objects.iter::<Deployment>().filter(|deployment| deployment.spec.app == app);
    own.find(|deployment| !deployment.status.state.is_end())
}

async fn rollback(mut call: Call, Json(wish): Json<Rollback>) -> Result<Created<Released>, ApiError> {
    let app = call.app()?.id;
    let committed = call
        .commit(|edit| {
            let stored = edit.meant(app)?;
            edit.living(app)?;
            let serving = stored.status.release.and_then(|release| edit.objects.get(release));
            let serving = serving.ok_or_else(|| {
                ApiError::conflict("no release serves yet, so there is none to go back from: deploy first")
            })?;
            let target = target(edit.objects, serving, wish.release)?;
            let release = Release { cause: ReleaseCause::Rollback(target.spec.number), ..target.spec.clone() };
            edit.update(&stored, App { env: target.spec.env.clone(), ..stored.spec.clone() });
            deploy(edit, Next { app: &stored, from: Some(serving.id), release })
        })
        .await?;
    let (release, deployment) = (call.made::<Release>(&committed)?, call.made::<Deployment>(&committed)?);
    let released = Released {
        release: document(call.objects(), &release),
        deployment: deployment_document(call.objects(), &deployment),
    };
    Ok(Created::of(released, release.spec_version))
}

/// The release that is gone back to from `serving`.
fn target<'a>(
    objects: &'a Objects,
    serving: &Stored<Release>,
    number: Option<u64>,
) -> Result<&'a Arc<Stored<Release>>, ApiError> {
    let app = serving.spec.app;
    let mut own = objects.iter::<Release>().filter(|release| release.spec.app == app);
    let Some(number) = number else {
        // The one it took over from, which worked; else the one before it.
        let mut done = objects
            .iter::<Deployment>()
            .filter(|deployment| deployment.spec.app == app && deployment.status.state == DeploymentState::Done);
        let came = done.rfind(|deployment| deployment.spec.to == serving.id);
        let before = came.and_then(|deployment| objects.get(deployment.spec.from?));
        let lower = || own.filter(|release| release.spec.number < serving.spec.number).max_by_key(|r| r.spec.number);
        return before
            .or_else(lower)
            .ok_or_else(|| ApiError::conflict(format!("there is no release before v{}", serving.spec.number)));
    };
    let found = own.find(|release| release.spec.number == number);
    let found = found.ok_or_else(|| ApiError::not_found("release", &format!("v{number}")))?;
    match found.id == serving.id {
        true => Err(ApiError::invalid("release", format!("v{number} is the one that serves"))),
        false => Ok(found),
    }
}

async fn deployments(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::Deployment>>, ApiError> {
    let app = call.app()?.id;
    let matches = |deployment: &Stored<Deployment>| deployment.spec.app == app;
    let document = |deployment: &Stored<Deployment>| deployment_document(call.objects(), deployment);
    Ok(Shown::new(call.timeline(app, &query, true, matches, document).await?))
}

/// The deployment of the path, if it is not in the history.
fn live_deployment(call: &Call, app: AppId) -> Result<Arc<Stored<Deployment>>, ApiError> {
    let text = call.param("deployment");
    let found = match text {
        "current" => open_deployment(call.objects(), app),
        id => {
            let id: Option<DeploymentId> = id.parse().ok();
            id.and_then(|id| call.objects().get(id)).filter(|deployment| deployment.spec.app == app)
        }
    };
    found.cloned().ok_or_else(|| ApiError::not_found("deployment", text))
}

async fn deployment(call: Call, (): ()) -> Result<Shown<api::Deployment>, ApiError> {
    let app = call.app()?.id;
    let found = match live_deployment(&call, app) {
        Ok(found) => found,
        Err(missing) => {
            let id: DeploymentId = call.param("deployment").parse().map_err(|_| missing)?;
            let archived = call.archived::<Deployment>(app, |deployment| deployment.id == id).await?;
            archived.ok_or_else(|| ApiError::not_found("deployment", &id.to_string()))?
        }
    };
    Ok(Shown::of(deployment_document(call.objects(), &found), found.spec_version))
}

async fn intend(mut call: Call, desired: DeployIntent) -> Result<Accepted<api::Deployment>, ApiError> {
    let app = call.app()?.id;
    let id = live_deployment(&call, app)?.id;
    call.commit(|edit| {
        let stored = edit.meant(id)?;
        if stored.status.state.is_end() {
            return Err(ApiError::conflict("the deployment has ended"));
        }
        edit.update(&stored, Deployment { desired, ..stored.spec.clone() });
        Ok(())
    })
    .await?;
    let deployment = call.objects().get(id).ok_or_else(|| ApiError::not_found("deployment", &id.to_string()))?;
    Ok(Accepted::of(deployment_document(call.objects(), deployment), deployment.spec_version))
}
