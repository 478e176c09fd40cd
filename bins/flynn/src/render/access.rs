//! Who may do what, and who did.

use flynn_core::Timestamp;
use flynn_core::api::{AuditEntry, IssuedToken, Member, Team, Token, Whoami};

use super::{Cell, Fields, Table, ago};
use crate::output::{Style, Tone};
use crate::settings::Cluster;

fn scope(token: &Token) -> String {
    match &token.of {
        Some(of) => format!("{} {of}", token.scope),
        None => token.scope.clone(),
    }
}

pub(crate) fn whoami(who: &Whoami, cluster: &Cluster) -> Fields {
    let teams = who.teams.iter().map(|team| format!("{} ({})", team.team, team.role)).collect::<Vec<_>>();
    Fields::default()
        .with("Cluster", format!("{} ({})", cluster.name, cluster.url))
        .with("Kind", who.kind.as_str())
        .with_some("User", who.user.as_deref())
        .with("Admin", if who.admin { "yes" } else { "no" })
        .with_some("Token", who.token.as_ref().map(|token| format!("{} ({})", token.label, scope(token))))
        .with("Teams", teams.join(", "))
}

pub(crate) fn tokens(tokens: &[Token], now: Timestamp) -> Table {
    let mut table = Table::new(&["ID", "LABEL", "OPENS", "USER", "CREATED", "EXPIRES"], "No tokens.");
    for token in tokens {
        let expires = match token.expires_at {
            None => Cell::toned("never", Tone::Faint),
            Some(at) if at.0 <= now => Cell::toned("expired", Tone::Bad),
            Some(at) => at.to_string().into(),
        };
        table.row([
            token.id.to_string().into(),
            token.label.as_str().into(),
            scope(token).into(),
            token.user.as_deref().unwrap_or_default().into(),
            Cell::toned(ago(token.created_at.0, now), Tone::Faint),
            expires,
        ]);
    }
    table
}

/// A token with its secret; in a pipe the secret alone.
pub(crate) fn issued(issued: &IssuedToken, style: Style) -> String {
    match style.aligned {
        true => format!(
            "{}\nThis is shown once. Keep it like a password; revoke it with `flynn tokens revoke {}`.\n",
            style.bold(&issued.secret),
            issued.token.id
        ),
        false => format!("{}\n", issued.secret),
    }
}

pub(crate) fn teams(teams: &[Team], now: Timestamp) -> Table {
    let mut table = Table::new(&["NAME", "CREATED"], "No teams yet.");
    for team in teams {
        table.row([team.name.as_str().into(), Cell::toned(ago(team.created_at.0, now), Tone::Faint)]);
    }
    table
}

pub(crate) fn members(members: &[Member]) -> Table {
    let mut table = Table::new(&["USER", "ROLE"], "Nobody is in this team.");
    for member in members {
        table.row([member.user.as_str().into(), member.role.as_str().into()]);
    }
    table
}

pub(crate) fn audit(entries: &[AuditEntry], now: Timestamp) -> Table {
    let mut table = Table::new(&["REVISION", "WHEN", "WHO", "CHANGED"], "Nothing was changed yet.");
    for entry in entries {
        let objects: Vec<_> = entry.objects.iter().map(|object| format!("{} {}", object.kind, object.id)).collect();
        table.row([
            entry.revision.to_string().into(),
            Cell::toned(ago(entry.at.0, now), Tone::Faint),
            entry.user.as_deref().unwrap_or(&entry.principal).into(),
            objects.join(", ").into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{self, COLOUR, NOW};

    #[test]
    fn a_secret_can_be_piped() {
        let token = samples::token("ci");
        let id = token.id;
        let made = IssuedToken { token, secret: "flynn_x".into() };
        assert_eq!(issued(&made, Style::PLAIN), "flynn_x\n");
        assert!(issued(&made, COLOUR).contains(&format!("flynn tokens revoke {id}")));
    }

    #[test]
    fn tokens_show_what_they_open_and_whether_they_still_do() {
        let mut expired = samples::token("ci");
        (expired.scope, expired.of, expired.expires_at) = ("app".into(), Some("web".into()), Some(NOW.into()));
        let id = expired.id;
        assert_eq!(
            tokens(&[expired, samples::token("mine")], NOW).render(Style::PLAIN),
            format!("{id}\tci\tapp web\tada\t2m ago\texpired\n{id}\tmine\tuser\tada\t2m ago\tnever\n")
        );
    }
}
