use std::borrow::Cow;

use crate::change::{Action, Change, Verb, Write, on_write};
use crate::election::Epoch;
use crate::noun::{
    App, AppId, Build, BuildState, Desired, Grant, Job, JobState, Kind, Liveness, NodeId, Noun, ObjectId, Objects,
    Purpose, Role, RouterId, Standing, TeamId, Token, TokenId, TokenScope, UserId, Volume,
};
use crate::rule::NounRules;
use crate::scope::{Membership, Scope};
use crate::time::Timestamp;

/// Who asks for a change or reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Principal {
    /// The process that holds the store, for bootstrap and repair. Never reachable from outside it.
    System,
    /// The controller loop, as the leader of this epoch.
    Controller(Epoch),
    /// The bearer of a token.
    Bearer(TokenId),
    /// The agent of a node.
    Node(NodeId),
    /// A router.
    Router(RouterId),
}

/// What a principal can do, once its token has been looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The token it came with, if it did.
    token: Option<Token>,
    /// Any of these is enough.
    powers: Vec<Power>,
}

/// A right to do some things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Everything.
    System,
    /// Everything but deciding who may do what.
    Controller,
    /// What a person may do, in the whole cluster.
    Admin,
    /// What this role may do in one team.
    Team(TeamId, Role),
    /// What this role may do to one app of a team.
    App(TeamId, AppId, Role),
    /// What the agent of this node may do.
    Node(NodeId),
    /// What this router may do.
    Router(RouterId),
}

/// A principal may not do what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// The token is unknown or was revoked.
    #[error("the token is unknown or was revoked: log in again")]
    UnknownToken,
    /// The token's time is over.
    #[error("the token has expired: log in again")]
    ExpiredToken,
    /// The principal is known and may not do this.
    #[error("not allowed to {verb} {id}: {reason}")]
    Forbidden {
        /// What was to be done.
        verb: Verb,
        /// With what.
        id: ObjectId,
        /// What would be needed.
        reason: Cow<'static, str>,
    },
    /// The principal is known and may not read this.
    #[error("not allowed to read this scope: {reason}")]
    Unreadable {
        /// What would be needed.
        reason: Cow<'static, str>,
    },
    /// The caller did not say who it is, in a way that is accepted where it asked.
    #[error("nobody said who is asking: log in, or send a token")]
    Anonymous,
    /// The caller is known and may not do this, whatever the object.
    #[error("not allowed: {reason}")]
    Reserved {
        /// What would be needed.
        reason: Cow<'static, str>,
    },
}

impl Authority {
    /// The authority of `principal` in the state `objects` at `now`.
    ///
    /// # Errors
    /// The token is unknown or has expired.
    pub fn of(principal: Principal, objects: &Objects, now: Timestamp) -> Result<Self, Denial> {
        let only = |power| Ok(Self { token: None, powers: vec![power] });
        match principal {
            Principal::System => only(Power::System),
            Principal::Controller(_) => only(Power::Controller),
            Principal::Node(node) => only(Power::Node(node)),
            Principal::Router(router) => only(Power::Router(router)),
            Principal::Bearer(token) => {
                let token = &objects.get(token).ok_or(Denial::UnknownToken)?.spec;
                if token.expires.is_some_and(|end| end <= now) {
                    return Err(Denial::ExpiredToken);
                }
                Ok(Self { token: Some(token.clone()), powers: powers_of_token(token, objects) })
            }
        }
    }

    /// What it consists of. Any one of these is enough for what it allows.
    pub fn powers(&self) -> &[Power] {
        &self.powers
    }

    /// The token that it comes with, if it does.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Whether it is that of a person, or of what acts in a person's name.
    pub(crate) fn is_person(&self) -> bool {
        self.powers.iter().all(|power| matches!(power, Power::Admin | Power::Team(..) | Power::App(..)))
    }
}

fn powers_of_token(token: &Token, objects: &Objects) -> Vec<Power> {
    let is_admin = |user: UserId| objects.get(user).is_some_and(|user| user.spec.standing == Standing::Admin);
    let grants =
        |user: UserId| objects.iter::<Grant>().map(|grant| &grant.spec).filter(move |grant| grant.user == user);
    let role_in = |user, team| match is_admin(user) {
        true => Some(Role::Owner),
        false => grants(user).find(|grant| grant.team == team).map(|grant| grant.role),
    };
    match token.scope {
        TokenScope::Node(node) => vec![Power::Node(node)],
        TokenScope::Router(router) => vec![Power::Router(router)],
        TokenScope::User(user) if is_admin(user) => vec![Power::Admin],
        TokenScope::User(user) => grants(user).map(|grant| Power::Team(grant.team, grant.role)).collect(),
        TokenScope::Team(user, team) => role_in(user, team).map(|role| Power::Team(team, role)).into_iter().collect(),
        TokenScope::App(user, app) => {
            let team = objects.get(app).map(|app| app.team);
            let power = team.and_then(|team| Some(Power::App(team, app, role_in(user, team)?)));
            power.into_iter().collect()
        }
    }
}

/// Whether `authority` allows `change` in the state `objects`.
///
/// In words: people write the specs of what their teams own, and no status and no placement; the
/// controller writes everything of apps and the status of nodes and routers, but not who may do what; a
/// node reports on itself and on the jobs, builds and volumes placed on it; a router reports on itself.
/// A change of an object that does not exist is allowed here: it fails as not found.
///
/// # Errors
/// No power allows it; the reason of the last one is given.
pub fn authorize(authority: &Authority, change: &Change, objects: &Objects) -> Result<(), Denial> {
    let Some(target) = target(change, objects) else { return Ok(()) };
    if revokes_own_token(authority, change, objects) || repeats_own_token(authority, change, objects) {
        return Ok(());
    }
    let mut missing = "this token gives no access to any team";
    for power in &authority.powers {
        match allows(*power, authority, change, &target, objects) {
            Ok(()) => return Ok(()),
            Err(reason) => missing = reason,
        }
    }
    Err(Denial::Forbidden { verb: change.verb(), id: change.id(), reason: missing.into() })
}

/// Whether `authority` allows reading `scope` in the state `objects`.
///
/// # Errors
/// No power allows it.
pub fn authorize_read(authority: &Authority, scope: Scope, objects: &Objects) -> Result<(), Denial> {
    let team_of = |app| objects.get(app).map(|app| app.team);
    let allowed = authority.powers.iter().any(|power| match (power, scope) {
        (Power::System | Power::Controller | Power::Admin, _) => true,
        (Power::Team(team, _), Scope::Team(asked)) => *team == asked,
        (Power::Team(team, _), Scope::App(app)) => team_of(app) == Some(*team),
        (Power::App(_, app, _), Scope::App(asked)) => *app == asked,
        (Power::Node(node), Scope::Node(asked)) => *node == asked,
        (Power::Router(_), Scope::Router) => true,
        _ => false,
    });
    match allowed {
        true => Ok(()),
        false => Err(Denial::Unreadable { reason: "it is outside what this token gives access to".into() }),
    }
}

fn target(change: &Change, objects: &Objects) -> Option<Membership> {
    fn created<N: Noun + NounRules>(write: &Write<N>) -> Option<Membership> {
        let Action::Create { team, spec } = &write.action else {
            return None;
        };
        let footprint = spec.footprint(write.id, &N::Status::default());
        Some(Membership { kind: N::KIND, team: *team, app: footprint.app, node: footprint.node })
    }
    match change.verb() {
        Verb::Create => on_write!(change, write => created(write)),
        _ => objects.object(change.id()).map(|object| Membership::of(&object)),
    }
}

type Verdict = Result<(), &'static str>;

fn allows(power: Power, authority: &Authority, change: &Change, target: &Membership, objects: &Objects) -> Verdict {
    match power {
        Power::System => Ok(()),
        Power::Controller => controller_may(change.verb(), target.kind),
        Power::Admin => {
            person_may(authority, change, objects)?;
            match change.verb() {
                Verb::Remove if is_kept(target.kind) => Err("the controller removes it, once it has ended"),
                _ => Ok(()),
            }
        }
        Power::Team(team, role) => {
            if target.team != team {
                return Err("it belongs to another team");
            }
            person_may(authority, change, objects)?;
            if destroys(change, objects) && role < Role::Owner {
                return Err("it takes the role of an owner of the team");
            }
            role_may(role, change.verb(), target.kind)
        }
        Power::App(team, app, role) => {
            let is_whole_app = target.kind == Kind::App && change.verb() != Verb::Update;
            let is_identity = destroys(change, objects) || renames(change, objects);
            if target.team != team || target.app != Some(app) || is_whole_app || is_identity {
                return Err("this token is for one app and what hangs from it");
            }
            person_may(authority, change, objects)?;
            role_may(role, change.verb(), target.kind)
        }
        Power::Node(node) => node_may(node, change, objects),
        Power::Router(router) => router_may(router, change, objects),
    }
}

fn updated_app<'a>(change: &'a Change, objects: &'a Objects) -> Option<(&'a App, &'a App)> {
    let Change::App(write) = change else { return None };
    let Action::Update(next) = &write.action else { return None };
    objects.get(write.id).map(|app| (&app.spec, next))
}

/// Whether `change` begins the end of an app, from which there is no way back.
fn destroys(change: &Change, objects: &Objects) -> bool {
    updated_app(change, objects).is_some_and(|(old, next)| old.lifecycle != next.lifecycle)
}

fn renames(change: &Change, objects: &Objects) -> bool {
    updated_app(change, objects).is_some_and(|(old, next)| old.name != next.name)
}

/// Whether objects of this kind stay until the controller files them away.
fn is_kept(kind: Kind) -> bool {
    matches!(kind, Kind::App | Kind::Build | Kind::Deployment | Kind::Job | Kind::Release)
}

fn is_of_tenant(kind: Kind) -> bool {
    is_kept(kind)
        || matches!(
            kind,
            Kind::Addon | Kind::Certificate | Kind::Formation | Kind::LogDrain | Kind::Route | Kind::Volume
        )
}

fn controller_may(verb: Verb, kind: Kind) -> Verdict {
    match (kind, verb) {
        (Kind::Node | Kind::Router, Verb::Report) | (Kind::Token, Verb::Remove) => Ok(()),
        (kind, _) if is_of_tenant(kind) => Ok(()),
        _ => Err("the controller does not decide this"),
    }
}

fn role_may(role: Role, verb: Verb, kind: Kind) -> Verdict {
    let needed = match (kind, verb) {
        (kind, Verb::Remove) if is_kept(kind) => {
            return Err("the controller removes it, once it has ended");
        }
        (Kind::Grant, _) | (Kind::Token, Verb::Update | Verb::Remove) => Role::Owner,
        (Kind::Token, _) => Role::Viewer,
        (kind, _) if is_of_tenant(kind) => Role::Developer,
        _ => return Err("only an administrator of the cluster may"),
    };
    match role >= needed {
        true => Ok(()),
        false if needed == Role::Owner => Err("it takes the role of an owner of the team"),
        false => Err("it takes the role of a developer of the team"),
    }
}

/// What no person may do, whatever their role.
fn person_may(authority: &Authority, change: &Change, objects: &Objects) -> Verdict {
    if change.verb() == Verb::Report {
        return Err("only the part of the platform that observes it reports a status");
    }
    let placed = match change {
        Change::Job(write) => match &write.action {
            Action::Create { spec, .. } => !is_fresh_one_off(spec),
            Action::Update(spec) => objects.get(write.id).is_some_and(|job| job.spec.node != spec.node),
            _ => false,
        },
        Change::Build(write) => placement(&write.action, |build: &Build| build.node)
            .is_some_and(|node| node != objects.get(write.id).and_then(|build| build.spec.node)),
        Change::Volume(write) => placement(&write.action, |volume: &Volume| volume.node)
            .is_some_and(|node| node != objects.get(write.id).and_then(|volume| volume.spec.node)),
        _ => false,
    };
    if placed {
        return Err("the controller makes service jobs and places work on nodes: scale the app or start a one-off job");
    }
    match change {
        Change::Token(write) => match &write.action {
            Action::Create { spec, .. } => may_mint(authority, spec, objects),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn placement<N: Noun>(action: &Action<N>, node: fn(&N) -> Option<NodeId>) -> Option<Option<NodeId>> {
    match action {
        Action::Create { spec, .. } | Action::Update(spec) => Some(node(spec)),
        Action::Report(_) | Action::Remove => None,
    }
}

fn is_fresh_one_off(job: &Job) -> bool {
    matches!(job.purpose, Purpose::OneOff { .. })
        && job.node.is_none()
        && job.desired == Desired::Up
        && job.attempt == 0
}

/// A token may make tokens of its own user that open no more than it does and last no longer; an
/// administrator also those of nodes and routers, and the first of a user, who has no other way in.
fn may_mint(authority: &Authority, wanted: &Token, objects: &Objects) -> Verdict {
    let Some(own) = &authority.token else { return Err("it takes a token to make another") };
    let is_admin = authority.powers.contains(&Power::Admin);
    let is_covered = match (own.scope, wanted.scope) {
        (_, TokenScope::Node(_) | TokenScope::Router(_)) => is_admin,
        (_, TokenScope::User(user)) if is_admin && has_no_token(user, objects) => true,
        (own, asked) if own.user() != asked.user() => false,
        (TokenScope::User(_), _) => true,
        (TokenScope::Team(_, own), TokenScope::Team(_, asked)) => own == asked,
        (TokenScope::Team(_, own), TokenScope::App(_, app)) => objects.get(app).is_some_and(|app| app.team == own),
        _ => false,
    };
    if !is_covered {
        return Err("a token can only make tokens of its own user that open no more than it does");
    }
    let outlives = own.expires.is_some_and(|end| wanted.expires.is_none_or(|asked| asked > end));
    if outlives { Err("a token cannot make one that lasts longer than itself") } else { Ok(()) }
}

fn has_no_token(user: UserId, objects: &Objects) -> bool {
    objects.iter::<Token>().all(|token| token.spec.scope.user() != Some(user))
}

/// A person can take back what acts in their name.
fn revokes_own_token(authority: &Authority, change: &Change, objects: &Objects) -> bool {
    let Change::Token(write) = change else { return false };
    let Some(TokenScope::User(user)) = authority.token.as_ref().map(|token| token.scope) else { return false };
    write.verb() == Verb::Remove && objects.get(write.id).is_some_and(|token| token.spec.scope.user() == Some(user))
}

/// A person can have several tokens for all they may do. No team owns those, so no role in one is asked for.
fn repeats_own_token(authority: &Authority, change: &Change, objects: &Objects) -> bool {
    let Change::Token(write) = change else { return false };
    let Action::Create { spec, .. } = &write.action else { return false };
    let own = authority.token.as_ref().map(|token| token.scope);
    matches!(spec.scope, TokenScope::User(_)) && own == Some(spec.scope) && may_mint(authority, spec, objects).is_ok()
}

fn node_may(node: NodeId, change: &Change, objects: &Objects) -> Verdict {
    const OWN: &str = "a node reports on itself and on what is placed on it, and changes nothing else";
    match change {
        Change::Job(write) => match (&write.action, objects.get(write.id)) {
            (Action::Report(status), Some(job)) if job.spec.node == Some(node) => match status.state {
                JobState::Pending { .. } | JobState::Assigned => Err("a node cannot send a job back"),
                _ => Ok(()),
            },
            _ => Err(OWN),
        },
        Change::Build(write) => match (&write.action, objects.get(write.id)) {
            (Action::Report(status), Some(build)) if build.spec.node == Some(node) => match status.state {
                BuildState::Pending { .. } | BuildState::Assigned => Err("a node cannot send a build back"),
                _ => Ok(()),
            },
            _ => Err(OWN),
        },
        Change::Volume(write) => match (&write.action, objects.get(write.id)) {
            (Action::Report(_), Some(volume)) if volume.spec.node == Some(node) => Ok(()),
            _ => Err(OWN),
        },
        Change::Node(write) if write.id == node => match (&write.action, objects.get(write.id)) {
            (Action::Report(new), Some(old)) => keeps_liveness(old.status.liveness, new.liveness),
            _ => Err(OWN),
        },
        _ => Err(OWN),
    }
}

fn router_may(router: RouterId, change: &Change, objects: &Objects) -> Verdict {
    match change {
        Change::Router(write) if write.id == router => match (&write.action, objects.get(write.id)) {
            (Action::Report(new), Some(old)) => keeps_liveness(old.status.liveness, new.liveness),
            _ => Err("a router reports on itself and changes nothing else"),
        },
        _ => Err("a router reports on itself and changes nothing else"),
    }
}

/// Whether a member is there is for the controller to say, but for its first word.
fn keeps_liveness(old: Liveness, new: Liveness) -> Verdict {
    match (old, new) {
        (Liveness::Unseen, Liveness::Ready) => Ok(()),
        (old, new) if old == new => Ok(()),
        _ => Err("the controller says whether a node or router is there"),
    }
}
