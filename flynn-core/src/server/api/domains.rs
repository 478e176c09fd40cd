//! What reaches an app: hosts, and routes below them.

use std::sync::Arc;

use super::apps::{default_host, routes_of};
use super::document::{hosts, route as document};
use super::edit::Edit;
use super::exchange::{Created, Done, Json, Query, Shown};
use super::routes::Routes;
use super::{ApiError, Call, paging};
use crate::api::{self, Domain, NewDomain, NewRoute, Page, PageQuery};
use crate::name::{HostPattern, PathPrefix, ProcessName};
use crate::noun::{Affinity, App, AppId, Entry, Objects, PlainHttp, Route, RouteId, Stored};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/apps/{app}/domains", "listDomains", "The hosts of an app.", domains)
        .post("/v1/apps/{app}/domains", "addDomain", "Sends all requests for a host to the app's `web` processes.", add)
        .delete(
            "/v1/apps/{app}/domains/{host}",
            "removeDomain",
            "Takes a host from an app, with all its routes.",
            remove,
        )
        .get("/v1/apps/{app}/routes", "listRoutes", "The routes of an app, the oldest first.", list)
        .post(
            "/v1/apps/{app}/routes",
            "addRoute",
            "Sends requests for a host and below a path to a process type.",
            create,
        )
        .get("/v1/apps/{app}/routes/{route}", "getRoute", "A route, by id.", get)
        .delete("/v1/apps/{app}/routes/{route}", "removeRoute", "Takes a route from an app.", delete)
}

async fn domains(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<Domain>>, ApiError> {
    let app = call.app()?;
    let default = default_host(&app.spec.name, &call.api.state.options.domain)?;
    let all = hosts(call.objects(), &app).into_iter().map(|host| (host.to_string(), host)).collect();
    let page = paging::sorted(all, &query, |host| domain(call.objects(), app.id, &host, &default))?;
    Ok(Shown::new(page))
}

fn domain(objects: &Objects, app: AppId, host: &HostPattern, default: &HostPattern) -> Domain {
    let routes = below(objects, app, host).into_iter().map(|route| route.id).collect();
    Domain { host: host.to_string(), is_default: host == default, routes }
}

fn below(objects: &Objects, app: AppId, asked: &HostPattern) -> Vec<Arc<Stored<Route>>> {
    let is_below = |route: &Arc<Stored<Route>>| matches!(&route.spec.entry, Entry::Http { host, .. } if host == asked);
    let mut routes: Vec<_> = routes_of(objects, app).into_iter().filter(is_below).collect();
    routes.sort_by_key(|route| (route.created_at, route.id));
    routes
}

fn parse_host(text: &str) -> Result<HostPattern, ApiError> {
    HostPattern::new(text).map_err(|error| ApiError::invalid("host", error))
}

/// Hosts below the domain of the cluster are given away with the names of apps.
pub(super) fn check_host(call: &Call, app: &Stored<App>, host: &HostPattern) -> Result<(), ApiError> {
    let domain = call.api.state.options.domain.base();
    let is_below = host.base().strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if !is_below || call.reads_all() || *host == default_host(&app.spec.name, &call.api.state.options.domain)? {
        return Ok(());
    }
    let detail = format!("hosts below {domain} follow the names of apps: rename the app, or ask an administrator");
    Err(ApiError::invalid("host", detail))
}

async fn add(mut call: Call, Json(wish): Json<NewDomain>) -> Result<Created<Domain>, ApiError> {
    let app = call.app()?;
    let host = parse_host(&wish.host)?;
    check_host(&call, &app, &host)?;
    let process = process_name(None)?;
    call.commit(|edit| {
        let stored = edit.living(app.id)?;
        let route = Route { app: app.id, process: process.clone(), entry: Entry::host(host.clone()) };
        edit.create(stored.team, route);
        Ok(())
    })
    .await?;
    let default = default_host(&app.spec.name, &call.api.state.options.domain)?;
    Ok(Created::new(domain(call.objects(), app.id, &host, &default)))
}

fn remove_all(edit: &mut Edit<'_>, routes: &[Arc<Stored<Route>>]) {
    routes.iter().for_each(|route| edit.remove(route));
}

async fn remove(mut call: Call, (): ()) -> Result<Done, ApiError> {
    let app = call.app()?.id;
    let text = call.param("host").to_owned();
    let missing = || ApiError::not_found("host", &text);
    let host = HostPattern::new(&text).map_err(|_| missing())?;
    call.commit(|edit| {
        let routes = below(edit.objects, app, &host);
        if routes.is_empty() {
            return Err(missing());
        }
        remove_all(edit, &routes);
        Ok(())
    })
    .await?;
    Ok(Done)
}

async fn list(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::Route>>, ApiError> {
    let app = call.app()?.id;
    let key = |route: &Stored<Route>| format!("{:016x}-{}", route.created_at.as_millis(), route.id);
    let routes = routes_of(call.objects(), app).into_iter().map(|route| (key(&route), route)).collect();
    paging::sorted(routes, &query, |route| document(&route)).map(Shown::new)
}

fn process_name(text: Option<&str>) -> Result<ProcessName, ApiError> {
    ProcessName::new(text.unwrap_or("web")).map_err(|error| ApiError::invalid("process", error))
}

async fn create(mut call: Call, Json(wish): Json<NewRoute>) -> Result<Created<api::Route>, ApiError> {
    let app = call.app()?;
    if let Some(kind) = wish.kind.as_deref().filter(|kind| *kind != "http") {
        let kind: String = kind.chars().take(80).flat_map(char::escape_debug).collect();
        return Err(ApiError::invalid("kind", format!("`{kind}` is no kind of route: use http")));
    }
    let host = parse_host(&wish.host)?;
    check_host(&call, &app, &host)?;
    let path = match &wish.path {
        Some(path) => PathPrefix::new(path).map_err(|error| ApiError::invalid("path", error))?,
        None => PathPrefix::root(),
    };
    let affinity = if wish.sticky { Affinity::Sticky } else { Affinity::None };
    let plain = if wish.redirect_https { PlainHttp::Redirect } else { PlainHttp::Serve };
    let process = process_name(wish.process.as_deref())?;
    let route = Route { app: app.id, process, entry: Entry::Http { host, path, affinity, plain } };
    let committed = call
        .commit(|edit| {
            let stored = edit.living(app.id)?;
            edit.create(stored.team, route.clone());
            Ok(())
        })
        .await?;
    let route = call.made::<Route>(&committed)?;
    Ok(Created::of(document(&route), route.spec_version))
}

fn route_of(call: &Call) -> Result<Arc<Stored<Route>>, ApiError> {
    let app = call.app()?.id;
    let text = call.param("route");
    let id: Option<RouteId> = text.parse().ok();
    let found = id.and_then(|id| call.objects().get(id)).filter(|route| route.spec.app == app);
    found.cloned().ok_or_else(|| ApiError::not_found("route", text))
}

async fn get(call: Call, (): ()) -> Result<Shown<api::Route>, ApiError> {
    let route = route_of(&call)?;
    Ok(Shown::of(document(&route), route.spec_version))
}

async fn delete(mut call: Call, (): ()) -> Result<Done, ApiError> {
    let id = route_of(&call)?.id;
    call.commit(|edit| {
        let stored = edit.meant(id)?;
        edit.remove(&stored);
        Ok(())
    })
    .await?;
    Ok(Done)
}
