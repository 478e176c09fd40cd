//! Who the caller is.

use super::document::{token, word};
use super::exchange::Shown;
use super::routes::Routes;
use super::{ApiError, Call};
use crate::api::{Membership, Whoami};
use crate::noun::{Role, Team};
use crate::rule::Power;
use crate::server::Caller;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/v1/whoami", "whoami", "Who the caller is, and in which teams it can act.", whoami)
}

async fn whoami(call: Call, (): ()) -> Result<Shown<Whoami>, ApiError> {
    let objects = call.objects();
    let user = call.user();
    let kind = match (call.caller, call.authority.powers().first()) {
        (Caller::Trusted, _) => "trusted",
        (_, Some(Power::Node(_))) => "node",
        (_, Some(Power::Router(_))) => "router",
        _ => "user",
    };
    Ok(Shown::new(Whoami {
        kind: kind.to_owned(),
        user: user.map(|user| user.spec.name.to_string()),
        user_id: user.map(|user| user.id),
        admin: call.reads_all(),
        token: call.token().map(|own| token(objects, own)),
        teams: memberships(&call),
    }))
}

/// The teams the caller can act in, by name.
pub(super) fn memberships(call: &Call) -> Vec<Membership> {
    let objects = call.objects();
    let role_in = |team: crate::noun::TeamId| {
        let of_power = |power: &Power| match power {
            Power::System | Power::Admin => Some(Role::Owner),
            Power::Team(own, role) if *own == team => Some(*role),
            _ => None,
        };
        call.authority.powers().iter().filter_map(of_power).max()
    };
    let mut teams: Vec<Membership> = objects
        .iter::<Team>()
        .filter_map(|team| {
            let role = word::role(role_in(team.id)?).to_owned();
            Some(Membership { team: team.spec.name.to_string(), team_id: team.id, role })
        })
        .collect();
    teams.sort_by(|one, other| one.team.cmp(&other.team));
    teams
}
