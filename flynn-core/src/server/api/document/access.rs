use super::word;
use crate::api;
use crate::noun::{Grant, Objects, Standing, Stored, Team, Token, TokenScope, User};
use crate::port::AuditRecord;
use crate::rule::Principal;
use crate::wire::Text;

pub(in crate::server::api) fn token(objects: &Objects, token: &Stored<Token>) -> api::Token {
    let user = token.spec.scope.user().and_then(|user| objects.get(user));
    let (scope, of) = match token.spec.scope {
        TokenScope::User(_) => ("user", None),
        TokenScope::Team(_, team) => ("team", objects.get(team).map(|team| team.spec.name.to_string())),
        TokenScope::App(_, app) => ("app", objects.get(app).map(|app| app.spec.name.to_string())),
        TokenScope::Node(node) => ("node", objects.get(node).map(|node| node.spec.name.to_string())),
        TokenScope::Router(router) => ("router", objects.get(router).map(|router| router.spec.name.to_string())),
    };
    api::Token {
        id: token.id,
        label: token.spec.label.clone(),
        scope: scope.to_owned(),
        user: user.map(|user| user.spec.name.to_string()),
        of,
        expires_at: token.spec.expires.map(api::Time),
        created_at: token.created_at.into(),
        version: token.spec_version.get(),
    }
}

pub(in crate::server::api) fn team(team: &Stored<Team>) -> api::Team {
    api::Team {
        id: team.id,
        name: team.spec.name.to_string(),
        created_at: team.created_at.into(),
        version: team.spec_version.get(),
    }
}

pub(in crate::server::api) fn user(user: &Stored<User>) -> api::User {
    api::User {
        id: user.id,
        name: user.spec.name.to_string(),
        admin: user.spec.standing == Standing::Admin,
        created_at: user.created_at.into(),
        version: user.spec_version.get(),
    }
}

pub(in crate::server::api) fn member(objects: &Objects, grant: &Stored<Grant>) -> api::Member {
    api::Member {
        id: grant.id,
        user: objects.get(grant.spec.user).map(|user| user.spec.name.to_string()).unwrap_or_default(),
        user_id: grant.spec.user,
        role: word::role(grant.spec.role).to_owned(),
        version: grant.spec_version.get(),
    }
}

pub(in crate::server::api) fn audit(objects: &Objects, record: AuditRecord) -> api::AuditEntry {
    let token = match record.principal {
        Principal::Bearer(token) => objects.get(token),
        _ => None,
    };
    let user = token.and_then(|token| objects.get(token.spec.scope.user()?));
    let app_of = |id| objects.object(id).and_then(|object| object.footprint().app);
    let objects = record.objects.iter().map(|id| api::AuditObject {
        kind: id.kind().to_string(),
        id: id.uuid().to_string(),
        app: app_of(*id),
    });
    api::AuditEntry {
        revision: record.revision.get(),
        at: record.at.into(),
        user: user.map(|user| user.spec.name.to_string()),
        principal: record.principal.encode(),
        objects: objects.collect(),
    }
}
