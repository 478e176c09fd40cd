//! Who may do what, and who did.

use flynn_core::Timestamp;
use flynn_core::api::{AuditEntry, IssuedToken, Limits, Member, Quota, Team, Token, User, Whoami};

use super::amount::{bytes, cpu};
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

pub(crate) fn users(users: &[User], now: Timestamp) -> Table {
    let mut table = Table::new(&["NAME", "ADMIN", "CREATED"], "No users that you may see.");
    for user in users {
        let admin = if user.admin { Cell::toned("yes", Tone::Good) } else { Cell::toned("no", Tone::Faint) };
        table.row([user.name.as_str().into(), admin, Cell::toned(ago(user.created_at.0, now), Tone::Faint)]);
    }
    table
}

/// The token of a user's first login; in a pipe the secret alone.
pub(crate) fn first_token(issued: &IssuedToken, user: &str, url: &str, style: Style) -> String {
    match style.aligned {
        true => format!(
            "Added {user}. The token of their first login, which is shown once:\n{}\nThey log in with `flynn cluster \
             add NAME {url}` and `flynn login -c NAME --token`.\n",
            style.bold(&issued.secret)
        ),
        false => format!("{}\n", issued.secret),
    }
}

/// The names of limits as `quotas set` reads them, and the limits as text.
fn named(limits: &Limits) -> [(&'static str, Option<String>); 10] {
    let count = |amount: Option<u64>| amount.map(|amount| amount.to_string());
    [
        ("apps", count(limits.apps)),
        ("routes", count(limits.routes)),
        ("instances", count(limits.instances)),
        ("cpu", limits.cpu_millis.map(cpu)),
        ("memory", limits.memory_bytes.map(bytes)),
        ("volumes", limits.volume_bytes.map(bytes)),
        ("instance-cpu", limits.instance_cpu_millis.map(cpu)),
        ("instance-memory", limits.instance_memory_bytes.map(bytes)),
        ("instance-disk", limits.instance_disk_bytes.map(bytes)),
        ("instance-pids", count(limits.instance_pids)),
    ]
}

fn allowed(limit: Option<String>) -> Cell {
    limit.map_or_else(|| Cell::toned("not limited", Tone::Faint), Cell::from)
}

pub(crate) fn quotas(quotas: &[Quota]) -> Table {
    let mut table = Table::new(&["TEAM", "WHAT", "USED", "ALLOWED"], "No teams that you may see.");
    for quota in quotas {
        let used = &quota.used;
        let sums = [
            used.apps.to_string(),
            used.routes.to_string(),
            used.instances.to_string(),
            cpu(used.cpu_millis),
            bytes(used.memory_bytes),
            bytes(used.volume_bytes),
        ];
        // Of a limit for one instance there is nothing to use up, and only one that was set is worth a line.
        let mut sums = sums.into_iter();
        for (what, limit) in named(&quota.effective) {
            match (sums.next(), limit) {
                (None, None) => {}
                (used, limit) => {
                    table.row([
                        quota.name.as_str().into(),
                        what.into(),
                        used.unwrap_or_default().into(),
                        allowed(limit),
                    ]);
                }
            }
        }
    }
    table
}

pub(crate) fn limits_of_teams(limits: &Limits) -> Table {
    let mut table = Table::new(&["WHAT", "ALLOWED"], "");
    for (what, limit) in named(limits) {
        table.row([what.into(), allowed(limit)]);
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
    fn quotas_show_what_is_used_of_what_is_allowed() {
        let effective =
            Limits { apps: Some(3), memory_bytes: Some(8 << 30), instance_pids: Some(99), ..Limits::default() };
        let used = flynn_core::api::Used { apps: 2, memory_bytes: 512 << 20, ..flynn_core::api::Used::default() };
        let team = flynn_core::Id::NIL;
        let quota = Quota { team, name: "red".into(), limits: Limits::default(), effective, used, version: 0 };
        assert_eq!(
            quotas(&[quota]).render(Style::PLAIN),
            "red\tapps\t2\t3\nred\troutes\t0\tnot limited\nred\tinstances\t0\tnot limited\nred\tcpu\t0m\tnot \
             limited\nred\tmemory\t512M\t8G\nred\tvolumes\t0\tnot limited\nred\tinstance-pids\t\t99\n"
        );
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
