use std::borrow::Cow;
use std::fmt;

use crate::noun::{Objects, Quota, TeamId};
use crate::rule::Usage;
use crate::value::{Amount, Dimension};

/// A team would use more than its quota.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct OverQuota {
    /// Of what.
    pub what: Cow<'static, str>,
    /// What the quota allows.
    pub limit: u64,
    /// What the team uses.
    pub used: u64,
    /// What the team would use.
    pub wanted: u64,
}

const CPU: &str = "cpu (millis)";
const MEMORY: &str = "memory (bytes)";
const VOLUMES: &str = "volumes (bytes)";

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = match &*self.what {
            CPU => ("cpu", Dimension::Cpu),
            MEMORY => ("memory", Dimension::Memory),
            VOLUMES => ("volumes", Dimension::Disk),
            // Plain numbers.
            other => (other, Dimension::Pids),
        };
        let more = self.wanted.saturating_sub(self.used);
        let [limit, used, more] = [self.limit, self.used, more].map(|amount| Amount(unit, amount));
        write!(f, "it is more than the team's quota of {name}: {limit} allowed, {used} used, {more} more asked for")
    }
}

/// Whether a team may go from using `before` to using `after`.
///
/// Only growth is judged: a team over its quota, because the quota was lowered, can still shrink and can
/// still change what does not grow.
///
/// # Errors
/// The first dimension that grows past its limit.
pub fn within_quota(quota: &Quota, before: &Usage, after: &Usage) -> Result<(), OverQuota> {
    let dimensions = [
        ("apps", quota.apps, before.apps, after.apps),
        ("routes", quota.routes, before.routes, after.routes),
        ("instances", quota.instances, before.instances, after.instances),
        (CPU, quota.cpu_millis, before.resources.cpu_millis, after.resources.cpu_millis),
        (MEMORY, quota.memory_bytes, before.resources.memory_bytes, after.resources.memory_bytes),
        (VOLUMES, quota.volume_bytes, before.volume_bytes, after.volume_bytes),
    ];
    for (what, limit, before, after) in dimensions {
        if let Some(limit) = limit
            && after > before
            && after > limit
        {
            return Err(OverQuota { what: what.into(), limit, used: before, wanted: after });
        }
    }
    Ok(())
}

/// The quota that `team` goes by in the state `objects`: what its own says, and of the rest what the quota for every
/// team says. Nothing limits the system team, which owns what the cluster runs for itself.
pub fn quota_of(team: TeamId, objects: &Objects) -> Quota {
    let find = |team| objects.iter::<Quota>().map(|quota| &quota.spec).find(move |quota| quota.team == team);
    combined(team, find(team), find(TeamId::SYSTEM))
}

/// The quota of `team` from its own and that for every team.
pub(crate) fn combined(team: TeamId, own: Option<&Quota>, of_all: Option<&Quota>) -> Quota {
    if team == TeamId::SYSTEM {
        return Quota::unlimited(team);
    }
    let own = own.cloned().unwrap_or_else(|| Quota::unlimited(team));
    match of_all {
        Some(of_all) => own.or(of_all),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_growth_past_a_set_limit_is_refused() {
        let quota = Quota { apps: Some(2), ..Quota::unlimited(TeamId::SYSTEM) };
        let check = |before, after, expect: bool| {
            let usage = |apps| Usage { apps, routes: 1_000, ..Usage::ZERO };
            assert_eq!(within_quota(&quota, &usage(before), &usage(after)).is_ok(), expect, "{before} to {after}");
        };
        check(0, 2, true);
        check(2, 3, false);
        check(5, 4, true);
        check(5, 5, true);
        check(5, 6, false);
    }

    #[test]
    fn a_refusal_says_what_is_allowed_used_and_asked_for() {
        let over = |what: &'static str, limit, used, wanted| OverQuota { what: what.into(), limit, used, wanted };
        assert_eq!(
            over(MEMORY, 4 << 30, 3 << 30, 5 << 30).to_string(),
            "it is more than the team's quota of memory: 4 GiB allowed, 3 GiB used, 2 GiB more asked for"
        );
        assert_eq!(
            over("apps", 1, 1, 2).to_string(),
            "it is more than the team's quota of apps: 1 allowed, 1 used, 1 more asked for"
        );
    }

    #[test]
    fn a_team_goes_by_its_own_quota_and_by_that_of_all_for_the_rest() {
        let team = TeamId::from_uuid(uuid::Uuid::from_u128(1));
        let own = Quota { apps: Some(2), ..Quota::unlimited(team) };
        let of_all = Quota { apps: Some(1), routes: Some(7), ..Quota::unlimited(TeamId::SYSTEM) };
        let both = combined(team, Some(&own), Some(&of_all));
        assert_eq!((both.team, both.apps, both.routes, both.instances), (team, Some(2), Some(7), None));
        assert_eq!(combined(team, None, Some(&of_all)).apps, Some(1));
        assert_eq!(combined(team, None, None), Quota::unlimited(team));
        assert_eq!(combined(TeamId::SYSTEM, None, Some(&of_all)), Quota::unlimited(TeamId::SYSTEM));
    }
}
