use crate::noun::{Object, Objects, TokenScope};
use crate::rule::{Authority, authorize_read};
use crate::scope::Scope;

/// Whether `authority` may know that `object` is there, in the state `objects`.
///
/// What a person may not know of is to them as if it were not there. All others may know of everything: they do not
/// act for somebody who could learn from it.
pub(crate) fn may_know(authority: &Authority, object: &Object, objects: &Objects) -> bool {
    let may_read = |scope| authorize_read(authority, scope, objects).is_ok();
    if !authority.is_person() || may_read(Scope::Team(object.team())) {
        return true;
    }
    // All that a person may do is theirs as well; a token for less knows of itself alone.
    let own = authority.token();
    let whole = own.and_then(|own| match own.scope {
        TokenScope::User(user) => Some(user),
        _ => None,
    });
    match object {
        Object::Team(team) => may_read(Scope::Team(team.id)),
        Object::Quota(quota) => may_read(Scope::Team(quota.spec.team)),
        Object::User(user) => whole == Some(user.id),
        Object::Token(token) => {
            own.is_some_and(|own| own.hash == token.spec.hash) || whole.is_some() && token.spec.scope.user() == whole
        }
        _ => object.footprint().app.is_some_and(|app| may_read(Scope::App(app))),
    }
}
