use std::borrow::Cow;

use crate::noun::Quota;
use crate::rule::Usage;

/// A team would use more than its quota.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the quota allows {limit} of {what} and {wanted} would be used")]
pub struct OverQuota {
    /// Of what.
    pub what: Cow<'static, str>,
    /// What the quota allows.
    pub limit: u64,
    /// What the team would use.
    pub wanted: u64,
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
        ("cpu (millis)", quota.cpu_millis, before.resources.cpu_millis, after.resources.cpu_millis),
        ("memory (bytes)", quota.memory_bytes, before.resources.memory_bytes, after.resources.memory_bytes),
        ("volumes (bytes)", quota.volume_bytes, before.volume_bytes, after.volume_bytes),
    ];
    for (what, limit, before, after) in dimensions {
        if let Some(limit) = limit
            && after > before
            && after > limit
        {
            return Err(OverQuota { what: what.into(), limit, wanted: after });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noun::TeamId;

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
}
