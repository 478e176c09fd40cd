//! Builds, and the sources they are made from.

use std::sync::Arc;

use axum::http::StatusCode;

use super::document::build as document;
use super::exchange::{Accepted, Created, Query, Shown, Upload};
use super::incoming::{Incoming, Trouble};
use super::routes::Routes;
use super::{ApiError, Call};
use crate::api::{self, NewBuild, Page, PageQuery};
use crate::change::Change;
use crate::id::Id;
use crate::noun::{App, AppId, Build, BuildIntent, Stored};
use crate::rule::authorize;
use crate::value::Digest;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/apps/{app}/builds", "listBuilds", "The builds of an app, the newest first.", list)
        .post("/v1/apps/{app}/builds", "createBuild", "Builds and deploys a source tree.", create)
        .details("The body is a tar archive of the tree, plain or compressed with gzip.")
        .get("/v1/apps/{app}/builds/{build}", "getBuild", "A build, by number or id.", get)
        .post(
            "/v1/apps/{app}/builds/{build}/cancel",
            "cancelBuild",
            "Stops a build and throws away what it made.",
            cancel,
        )
}

async fn list(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::Build>>, ApiError> {
    let app = call.app()?.id;
    let matches = |build: &Stored<Build>| build.spec.app == app;
    let page = call.timeline(app, &query, true, matches, |build| document(call.objects(), build)).await?;
    Ok(Shown::new(page))
}

fn is_meant(build: &Stored<Build>, text: &str) -> bool {
    text.parse() == Ok(build.spec.number) || text.parse::<Id<Build>>().is_ok_and(|id| id == build.id)
}

fn live(call: &Call, app: AppId) -> Result<Arc<Stored<Build>>, ApiError> {
    let text = call.param("build");
    let mut own = call.objects().iter::<Build>().filter(|build| build.spec.app == app);
    own.find(|build| is_meant(build, text)).cloned().ok_or_else(|| ApiError::not_found("build", text))
}

/// The build that the path means, also one that is over.
pub(super) async fn found(call: &Call, app: AppId) -> Result<Arc<Stored<Build>>, ApiError> {
    let text = call.param("build");
    match live(call, app) {
        Ok(found) => Ok(found),
        Err(missing) => call.archived::<Build>(app, |build| is_meant(build, text)).await?.ok_or(missing),
    }
}

async fn get(call: Call, (): ()) -> Result<Shown<api::Build>, ApiError> {
    let app = call.app()?.id;
    let found = found(&call, app).await?;
    Ok(Shown::of(document(call.objects(), &found), found.spec_version))
}

async fn create(mut call: Call, upload: Upload<NewBuild>) -> Result<Created<api::Build>, ApiError> {
    let app = call.app()?;
    let state = call.api.state.clone();
    let Upload { query: NewBuild { commit }, body } = upload;
    let build = |number, source| Build {
        app: app.id,
        number,
        source,
        commit: commit.clone(),
        branch: None,
        resources: state.options.build_resources,
        node: None,
        desired: BuildIntent::Finish,
    };
    check_allowed(&call, &app, build(1, Digest::from_bytes([0; 32])))?;
    let (incoming, trouble) = Incoming::new(body, state.options.upload_limit, state.options.upload_idle);
    let source = match state.sources.take(app.id, Box::new(incoming)).await {
        Ok(source) => source,
        Err(problem) => return Err(refused("source", &trouble, problem, state.options.upload_limit)),
    };
    call.asked(source.as_bytes());
    let committed = call
        .commit(|edit| {
            let stored = edit.living(app.id)?;
            let own = edit.objects.iter::<Build>().filter(|build| build.spec.app == app.id);
            let number = own.map(|build| build.spec.number).max().unwrap_or(0) + 1;
            edit.received(source);
            edit.create(stored.team, build(number, source));
            Ok(())
        })
        .await?;
    let build = call.made::<Build>(&committed)?;
    Ok(Created::of(document(call.objects(), &build), build.spec_version))
}

/// Nothing is taken in from who may not build.
fn check_allowed(call: &Call, app: &Stored<App>, build: Build) -> Result<(), ApiError> {
    let change = Change::create(Id::from_uuid(uuid::Uuid::new_v4()), app.team, build);
    Ok(authorize(&call.authority, &change, call.objects())?)
}

/// What the caller is told: something that came in only half is the caller's, whatever it looked like.
pub(super) fn refused(what: &str, trouble: &Trouble, problem: api::Problem, limit: u64) -> ApiError {
    if trouble.is_too_large() {
        let detail = format!("the {what} has more than {limit} bytes: leave out what is not needed");
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail);
    }
    if trouble.is_stalled() {
        return ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", format!("the {what} stopped coming in"));
    }
    if trouble.is_broken() {
        return ApiError::malformed("body", format!("the connection broke before the {what} was whole"));
    }
    problem.into()
}

async fn cancel(mut call: Call, (): ()) -> Result<Accepted<api::Build>, ApiError> {
    let app = call.app()?.id;
    let id = live(&call, app)?.id;
    call.commit(|edit| {
        let stored = edit.meant(id)?;
        if stored.status.state.is_end() {
            return Err(ApiError::conflict(format!("build {} has ended", stored.spec.number)));
        }
        edit.update(&stored, Build { desired: BuildIntent::Cancel, ..stored.spec.clone() });
        Ok(())
    })
    .await?;
    let build = call.objects().get(id).ok_or_else(|| ApiError::not_found("build", &id.to_string()))?;
    Ok(Accepted::of(document(call.objects(), build), build.spec_version))
}
