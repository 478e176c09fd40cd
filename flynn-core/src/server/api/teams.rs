//! Teams, who is in them, and users.

use std::sync::Arc;

use super::call::named;
use super::document::{member as member_document, team as document, user as user_document, word};
use super::exchange::{Created, Done, Json, Query, Shown};
use super::routes::Routes;
use super::{ApiError, Call, paging};
use crate::api::{self, Member, NewMember, NewTeam, NewUser, Page, PageQuery};
use crate::name::{TeamName, UserName};
use crate::noun::{Grant, Objects, Quota, Standing, Stored, Team, TeamId, Token, User, UserId};
use crate::revision::Revision;
use crate::scope::Scope;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/teams", "listTeams", "The teams the caller is in, by name; for an administrator all.", teams)
        .post("/v1/teams", "createTeam", "Creates a team. Takes an administrator.", create_team)
        .get("/v1/teams/{team}", "getTeam", "A team, by name or id.", team)
        .delete(
            "/v1/teams/{team}",
            "removeTeam",
            "Removes a team that owns nothing. Takes an administrator.",
            remove_team,
        )
        .get("/v1/teams/{team}/members", "listMembers", "Who is in a team, by name.", members)
        .put("/v1/teams/{team}/members/{user}", "setMember", "Gives a user a role in a team.", set_member)
        .delete("/v1/teams/{team}/members/{user}", "removeMember", "Takes a user out of a team.", remove_member)
        .get(
            "/v1/users",
            "listUsers",
            "The users the caller shares a team with, by name; for an administrator all.",
            users,
        )
        .post("/v1/users", "createUser", "Creates a user. Takes an administrator.", create_user)
        .get("/v1/users/{user}", "getUser", "A user, by name or id.", user)
        .delete("/v1/users/{user}", "removeUser", "Removes a user with all their tokens and roles.", remove_user)
        .details("Takes an administrator.")
}

pub(super) fn team_of(call: &Call) -> Result<Arc<Stored<Team>>, ApiError> {
    call.team_named(call.param("team"))
}

async fn teams(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::Team>>, ApiError> {
    let visible = call.objects().iter::<Team>().filter(|team| call.may_read(Scope::Team(team.id)));
    let teams = visible.map(|team| (team.spec.name.to_string(), team)).collect();
    paging::sorted(teams, &query, |team| document(team)).map(Shown::new)
}

async fn team(call: Call, (): ()) -> Result<Shown<api::Team>, ApiError> {
    let team = team_of(&call)?;
    Ok(Shown::of(document(&team), team.spec_version))
}

async fn create_team(mut call: Call, Json(wish): Json<NewTeam>) -> Result<Created<api::Team>, ApiError> {
    let name = TeamName::new(&wish.name)?;
    let committed = call
        .commit(|edit| {
            edit.create(TeamId::SYSTEM, Team { name: name.clone() });
            Ok(())
        })
        .await?;
    let team = call.made::<Team>(&committed)?;
    Ok(Created::of(document(&team), team.spec_version))
}

async fn remove_team(mut call: Call, (): ()) -> Result<Done, ApiError> {
    let id = team_of(&call)?.id;
    call.commit(|edit| {
        let team = edit.meant(id)?;
        // Who was in it, and what it was to use, go with it. Apps do not.
        grants_of(edit.objects, |grant| grant.team == id).iter().for_each(|grant| edit.remove(grant));
        let quotas: Vec<_> = edit.objects.iter::<Quota>().filter(|quota| quota.spec.team == id).cloned().collect();
        quotas.iter().for_each(|quota| edit.remove(quota));
        edit.remove(&team);
        Ok(())
    })
    .await?;
    Ok(Done)
}

fn grants_of(objects: &Objects, matches: impl Fn(&Grant) -> bool) -> Vec<Arc<Stored<Grant>>> {
    objects.iter::<Grant>().filter(|grant| matches(&grant.spec)).cloned().collect()
}

async fn members(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<Member>>, ApiError> {
    let team = team_of(&call)?.id;
    let documents = grants_of(call.objects(), |grant| grant.team == team);
    let documents = documents.iter().map(|grant| member_document(call.objects(), grant));
    let documents = documents.map(|member| (member.user.clone(), member)).collect();
    paging::sorted(documents, &query, |member| member).map(Shown::new)
}

/// The user of the path. Whoever decides who is in a team has to know the name.
fn user_named(objects: &Objects, text: &str) -> Result<Arc<Stored<User>>, ApiError> {
    named(objects, text, |user: &User| user.name.as_str()).ok_or_else(|| ApiError::not_found("user", text))
}

async fn set_member(mut call: Call, Json(wish): Json<NewMember>) -> Result<Shown<Member>, ApiError> {
    let team = team_of(&call)?.id;
    let role = word::parse_role(&wish.role);
    let role = role.ok_or_else(|| ApiError::invalid("role", "use viewer, developer or owner"))?;
    let may_decide = Grant { user: UserId::NIL, team, role };
    let change = crate::change::Change::create(crate::id::Id::NIL, team, may_decide);
    crate::rule::authorize(&call.authority, &change, call.objects())?;
    let user = user_named(call.objects(), call.param("user"))?.id;
    call.commit(|edit| {
        let grants = grants_of(edit.objects, |grant| grant.team == team && grant.user == user);
        edit.check_version(grants.first().map_or(Revision::ZERO, |grant| grant.spec_version))?;
        match grants.first() {
            Some(grant) => edit.update(grant, Grant { role, ..grant.spec.clone() }),
            None => drop(edit.create(team, Grant { user, team, role })),
        }
        Ok(())
    })
    .await?;
    let grants = grants_of(call.objects(), |grant| grant.team == team && grant.user == user);
    let grant = grants.first().ok_or_else(|| ApiError::conflict("the user was taken out of the team again"))?;
    Ok(Shown::of(member_document(call.objects(), grant), grant.spec_version))
}

async fn remove_member(mut call: Call, (): ()) -> Result<Done, ApiError> {
    let team = team_of(&call)?.id;
    let text = call.param("user").to_owned();
    call.commit(|edit| {
        let missing = || ApiError::not_found("member", &text);
        let user = user_named(edit.objects, &text).map_err(|_| missing())?.id;
        let grants = grants_of(edit.objects, |grant| grant.team == team && grant.user == user);
        let grant = grants.first().ok_or_else(missing)?;
        let grant = edit.meant(grant.id)?;
        edit.remove(&grant);
        Ok(())
    })
    .await?;
    Ok(Done)
}

fn sees_user(call: &Call, user: UserId) -> bool {
    let shares = |grant: &Grant| grant.user == user && call.may_read(Scope::Team(grant.team));
    // A token for less than all that its user may do shows those in the teams that it opens, and nobody else.
    let is_own = call.whole_user() == Some(user);
    call.reads_all() || is_own || !grants_of(call.objects(), shares).is_empty()
}

async fn users(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::User>>, ApiError> {
    let visible = call.objects().iter::<User>().filter(|user| sees_user(&call, user.id));
    let users = visible.map(|user| (user.spec.name.to_string(), user)).collect();
    paging::sorted(users, &query, |user| user_document(user)).map(Shown::new)
}

pub(super) fn visible_user(call: &Call, text: &str) -> Result<Arc<Stored<User>>, ApiError> {
    let found = user_named(call.objects(), text)?;
    if sees_user(call, found.id) { Ok(found) } else { Err(ApiError::not_found("user", text)) }
}

async fn user(call: Call, (): ()) -> Result<Shown<api::User>, ApiError> {
    let user = visible_user(&call, call.param("user"))?;
    Ok(Shown::of(user_document(&user), user.spec_version))
}

async fn create_user(mut call: Call, Json(wish): Json<NewUser>) -> Result<Created<api::User>, ApiError> {
    let name = UserName::new(&wish.name)?;
    let standing = if wish.admin { Standing::Admin } else { Standing::Member };
    let committed = call
        .commit(|edit| {
            edit.create(TeamId::SYSTEM, User { name: name.clone(), standing });
            Ok(())
        })
        .await?;
    let user = call.made::<User>(&committed)?;
    Ok(Created::of(user_document(&user), user.spec_version))
}

async fn remove_user(mut call: Call, (): ()) -> Result<Done, ApiError> {
    let id = visible_user(&call, call.param("user"))?.id;
    call.commit(|edit| {
        let user = edit.meant(id)?;
        let mut admins = edit.objects.iter::<User>().filter(|user| user.spec.standing == Standing::Admin);
        if user.spec.standing == Standing::Admin && admins.all(|admin| admin.id == id) {
            return Err(ApiError::conflict("this is the last administrator: make another first"));
        }
        grants_of(edit.objects, |grant| grant.user == id).iter().for_each(|grant| edit.remove(grant));
        let tokens = edit.objects.iter::<Token>().filter(|token| token.spec.scope.user() == Some(id));
        let tokens: Vec<_> = tokens.cloned().collect();
        tokens.iter().for_each(|token| edit.remove(token));
        edit.remove(&user);
        Ok(())
    })
    .await?;
    Ok(Done)
}
