//! What teams may use, and what they use.

use super::document::{default_quota as default_document, quota as document, quota_for};
use super::edit::Edit;
use super::exchange::{Json, Query, Shown};
use super::routes::Routes;
use super::teams::team_of;
use super::{ApiError, Call, paging};
use crate::api::{self, DefaultQuota, Limits, Page, PageQuery};
use crate::noun::{Quota, Team, TeamId};
use crate::revision::Revision;
use crate::scope::Scope;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/quotas", "listQuotas", "What the teams that the caller is in may use, and what they use.", list)
        .get("/v1/teams/{team}/quota", "getQuota", "What a team may use, and what it uses.", get)
        .put("/v1/teams/{team}/quota", "setQuota", "Limits what a team may use. Takes an administrator.", set)
        .details(REPLACES)
        .get(
            "/v1/default-quota",
            "getDefaultQuota",
            "What every team may use whose own quota says nothing else. Takes an administrator.",
            get_default,
        )
        .put(
            "/v1/default-quota",
            "setDefaultQuota",
            "Limits what every team may use whose own quota says nothing else. Takes an administrator.",
            set_default,
        )
        .details(REPLACES)
}

const REPLACES: &str = "It takes the place of what was set before, as a whole. A team that uses more already can go on \
                        and can use less. Each instance asks for at least 8 MiB of memory, 1 MiB of disk and 8 \
                        processes; where no limit of one instance is set, for no more than the largest node has, and for \
                        no more than 32,768 processes.";

async fn list(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::Quota>>, ApiError> {
    let visible = call.objects().iter::<Team>().filter(|team| call.may_read(Scope::Team(team.id)));
    let teams = visible.map(|team| (team.spec.name.to_string(), team)).collect();
    paging::sorted(teams, &query, |team| document(call.objects(), team)).map(Shown::new)
}

fn shown(call: &Call) -> Result<Shown<api::Quota>, ApiError> {
    let document = document(call.objects(), &*team_of(call)?);
    let version = Revision::new(document.version);
    Ok(Shown::of(document, version))
}

async fn get(call: Call, (): ()) -> Result<Shown<api::Quota>, ApiError> {
    shown(&call)
}

async fn set(mut call: Call, Json(limits): Json<Limits>) -> Result<Shown<api::Quota>, ApiError> {
    let team = team_of(&call)?.id;
    call.commit(|edit| put(edit, quota(team, &limits))).await?;
    shown(&call)
}

fn shown_default(call: &Call) -> Shown<DefaultQuota> {
    let document = default_document(call.objects());
    let version = Revision::new(document.version);
    Shown::of(document, version)
}

async fn get_default(call: Call, (): ()) -> Result<Shown<DefaultQuota>, ApiError> {
    call.must_read_all()?;
    Ok(shown_default(&call))
}

async fn set_default(mut call: Call, Json(limits): Json<Limits>) -> Result<Shown<DefaultQuota>, ApiError> {
    call.must_read_all()?;
    call.commit(|edit| put(edit, quota(TeamId::SYSTEM, &limits))).await?;
    Ok(shown_default(&call))
}

fn put(edit: &mut Edit<'_>, next: Quota) -> Result<(), ApiError> {
    let old = quota_for(edit.objects, next.team);
    edit.check_version(old.map_or(Revision::ZERO, |quota| quota.spec_version))?;
    match old {
        Some(old) => edit.update(old, next),
        None => drop(edit.create(TeamId::SYSTEM, next)),
    }
    Ok(())
}

fn quota(team: TeamId, limits: &Limits) -> Quota {
    let Limits {
        apps,
        routes,
        instances,
        cpu_millis,
        memory_bytes,
        volume_bytes,
        instance_cpu_millis,
        instance_memory_bytes,
        instance_disk_bytes,
        instance_pids,
    } = *limits;
    Quota {
        team,
        apps,
        routes,
        instances,
        cpu_millis,
        memory_bytes,
        volume_bytes,
        instance_cpu_millis,
        instance_memory_bytes,
        instance_disk_bytes,
        instance_pids,
    }
}
