//! Apps: what a team has, and what becomes of it.

use super::document::{app as describe, hosts};
use super::edit::Edit;
use super::exchange::{Accepted, Created, Json, Query, Shown};
use super::routes::Routes;
use super::whoami::memberships;
use super::{ApiError, Call, deploys, paging};
use crate::api::{App, AppChange, AppQuery, Confirm, NewApp, Page, PageQuery};
use crate::id::Id;
use crate::name::{AppName, HostPattern, ProcessName};
use crate::noun::{self, AppId, AppLifecycle, Entry, Objects, Role, Route, Stored, TeamId, Traffic};
use crate::scope::Scope;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/apps", "listApps", "The apps the caller can see, by name.", list)
        .post("/v1/apps", "createApp", "Creates an app and its default host.", create)
        .get("/v1/apps/{app}", "getApp", "An app, by name or id.", get)
        .patch(
            "/v1/apps/{app}",
            "changeApp",
            "Renames an app, turns its maintenance page on or off, or says how its deployments go.",
            change,
        )
        .delete("/v1/apps/{app}", "destroyApp", "Destroys an app and all that hangs from it.", destroy)
        .details(
            "`confirm` has to be the name of the app. Its routes go at once, then its jobs are stopped, and last the app \
             itself goes. There is no way back.",
        )
}

async fn list(call: Call, Query(query): Query<AppQuery>) -> Result<Shown<Page<App>>, ApiError> {
    let team = query.team.as_deref().map(|team| call.team_named(team)).transpose()?.map(|team| team.id);
    let apps = call
        .objects()
        .iter::<noun::App>()
        .filter(|app| team.is_none_or(|team| app.team == team) && call.may_read(Scope::App(app.id)))
        .map(|app| (app.spec.name.to_string(), app))
        .collect();
    let page = PageQuery { cursor: query.cursor, limit: query.limit };
    paging::sorted(apps, &page, |app| document(&call, app)).map(Shown::new)
}

async fn get(call: Call, (): ()) -> Result<Shown<App>, ApiError> {
    shown(&call, call.app()?.id)
}

fn document(call: &Call, app: &Stored<noun::App>) -> App {
    describe(call.objects(), app, call.api.state.options.edge.as_ref())
}

fn shown(call: &Call, app: AppId) -> Result<Shown<App>, ApiError> {
    let app = call.objects().get(app).ok_or_else(|| ApiError::not_found("app", &app.to_string()))?;
    Ok(Shown::of(document(call, app), app.spec_version))
}

async fn create(mut call: Call, Json(wish): Json<NewApp>) -> Result<Created<App>, ApiError> {
    let team = team_of(&call, wish.team.as_deref())?;
    let name = wish.name.as_deref().map(AppName::new).transpose()?;
    let domain = call.api.state.options.domain.clone();
    let committed = call
        .commit(|edit| {
            let name = match &name {
                Some(name) => name.clone(),
                None => free_name(edit)?,
            };
            let host = default_host(&name, &domain)?;
            let app = edit.create(team, noun::App::new(name));
            edit.create(team, default_route(app, host)?);
            Ok(())
        })
        .await?;
    let app = call.made::<noun::App>(&committed)?;
    Ok(Created::of(document(&call, &app), app.spec_version))
}

/// The team that is meant: the one that is named, or the only one the caller can create apps in.
fn team_of(call: &Call, named: Option<&str>) -> Result<TeamId, ApiError> {
    if let Some(name) = named {
        return Ok(call.team_named(name)?.id);
    }
    let own = memberships(call);
    let able = |role: &str| super::document::word::parse_role(role).is_some_and(|role| role >= Role::Developer);
    let able: Vec<_> = own.iter().filter(|member| able(&member.role)).collect();
    match (able.as_slice(), able.iter().find(|member| member.team == super::login::DEFAULT_TEAM)) {
        ([only], _) => Ok(only.team_id),
        ([], _) => Err(ApiError::forbidden("it takes the role of a developer in some team")),
        (_, Some(default)) => Ok(default.team_id),
        (several, None) => {
            let names: Vec<&str> = several.iter().map(|member| member.team.as_str()).collect();
            Err(ApiError::invalid("team", format!("say which team is to own it: {}", names.join(", "))))
        }
    }
}

/// The host that every app gets.
pub(super) fn default_host(name: &AppName, domain: &HostPattern) -> Result<HostPattern, ApiError> {
    let host = format!("{name}.{}", domain.base());
    HostPattern::new(&host).map_err(|error| ApiError::invalid("name", error))
}

fn default_route(app: AppId, host: HostPattern) -> Result<Route, ApiError> {
    let process = ProcessName::new("web").map_err(ApiError::internal)?;
    Ok(Route { app, process, entry: Entry::host(host) })
}

const ADJECTIVES: [&str; 16] = [
    "amber", "bold", "calm", "crisp", "early", "gentle", "keen", "lively", "mellow", "neat", "quiet", "rapid", "sunny",
    "swift", "warm", "witty",
];
const NOUNS: [&str; 16] = [
    "badger", "birch", "brook", "cedar", "comet", "falcon", "harbor", "heron", "lark", "maple", "meadow", "otter",
    "pebble", "raven", "tiger", "willow",
];

/// A name that no app has.
fn free_name(edit: &Edit<'_>) -> Result<AppName, ApiError> {
    loop {
        let seed: Id<()> = edit.id();
        let name = AppName::new(&friendly(seed.uuid().as_u128()))?;
        if !edit.objects.iter::<noun::App>().any(|app| app.spec.name == name) {
            return Ok(name);
        }
    }
}

/// The name that the low bits of `seed` draw, such as `calm-otter-0417`.
fn friendly(seed: u128) -> String {
    let draw = |shift: u32, of: u128| usize::try_from((seed >> shift) % of).unwrap_or_default();
    let (adjective, noun) = (ADJECTIVES[draw(0, 16)], NOUNS[draw(4, 16)]);
    format!("{adjective}-{noun}-{:04}", draw(8, 10_000))
}

async fn change(mut call: Call, Json(change): Json<AppChange>) -> Result<Shown<App>, ApiError> {
    let app = call.app()?.id;
    let name = change.name.as_deref().map(AppName::new).transpose()?;
    let deploys = change.deploys.as_ref().map(deploys::mode).transpose()?;
    let domain = call.api.state.options.domain.clone();
    call.commit(|edit| {
        let stored = edit.meant(app)?;
        edit.living(app)?;
        let mut next = stored.spec.clone();
        if let Some(maintenance) = change.maintenance {
            next.traffic = if maintenance { Traffic::Maintenance } else { Traffic::Serve };
        }
        if let Some(deploys) = &deploys {
            next.deploys = deploys.clone();
        }
        if let Some(name) = &name {
            next.name = name.clone();
            move_default_host(edit, &stored, name, &domain)?;
        }
        edit.update(&stored, next);
        Ok(())
    })
    .await?;
    shown(&call, app)
}

/// Puts `NEXT.DOMAIN` in the place of `NAME.DOMAIN`, if the app still has that.
fn move_default_host(
    edit: &mut Edit<'_>,
    app: &Stored<noun::App>,
    next: &AppName,
    domain: &HostPattern,
) -> Result<(), ApiError> {
    let (old, new) = (default_host(&app.spec.name, domain)?, default_host(next, domain)?);
    if old == new {
        return Ok(());
    }
    for route in routes_of(edit.objects, app.id) {
        if let Entry::Http { host, path, affinity, plain } = &route.spec.entry
            && *host == old
        {
            let entry = Entry::Http { host: new.clone(), path: path.clone(), affinity: *affinity, plain: *plain };
            edit.remove(&route);
            edit.create(app.team, Route { entry, ..route.spec.clone() });
        }
    }
    Ok(())
}

pub(super) fn routes_of(objects: &Objects, app: AppId) -> Vec<std::sync::Arc<Stored<Route>>> {
    objects.iter::<Route>().filter(|route| route.spec.app == app).cloned().collect()
}

async fn destroy(mut call: Call, Query(Confirm { confirm }): Query<Confirm>) -> Result<Accepted<App>, ApiError> {
    let app = call.app()?;
    if confirm.as_deref() != Some(app.spec.name.as_str()) {
        let hosts = hosts(call.objects(), &app).len();
        let detail = format!(
            "repeat the name of the app, `{}`, to destroy it with its {hosts} hosts and all its releases and data",
            app.spec.name
        );
        return Err(ApiError::invalid("confirm", detail));
    }
    call.commit(|edit| {
        let stored = edit.meant(app.id)?;
        edit.update(&stored, noun::App { lifecycle: AppLifecycle::Destroying, ..stored.spec.clone() });
        Ok(())
    })
    .await?;
    // An app without anything may be gone by this time.
    let mut app = call.objects().get(app.id).map_or_else(|| Stored::clone(&app), |app| Stored::clone(app));
    app.spec.lifecycle = AppLifecycle::Destroying;
    Ok(Accepted::of(document(&call, &app), app.spec_version))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_friendly_name_is_a_name(seed: u128) {
            prop_assert!(AppName::new(&friendly(seed)).is_ok());
        }
    }
}
