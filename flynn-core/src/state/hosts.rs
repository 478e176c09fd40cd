use std::sync::Arc;

use imbl::{HashMap, OrdMap};

use crate::name::HostPattern;
use crate::noun::TeamId;

/// Which team uses which hosts. A host belongs to one team, and so do `*.example.com` and all hosts it
/// stands for: otherwise one team could take requests that are meant for another.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Hosts {
    used: HashMap<HostPattern, (TeamId, u64)>,
    /// The teams with single hosts directly below a name.
    below: HashMap<Arc<str>, OrdMap<TeamId, u64>>,
}

impl Hosts {
    /// The first of `hosts` that another team than `team` has a right to.
    pub(crate) fn taken(&self, team: TeamId, hosts: &[HostPattern]) -> Option<HostPattern> {
        hosts.iter().find(|host| self.is_taken(team, host)).cloned()
    }

    fn is_taken(&self, team: TeamId, host: &HostPattern) -> bool {
        let is_of_others = |pattern: &HostPattern| self.used.get(pattern).is_some_and(|(owner, _)| *owner != team);
        let is_covered = || host.wildcard_above().is_some_and(|wildcard| is_of_others(&wildcard));
        let others_are_below = |teams: &OrdMap<TeamId, u64>| teams.keys().any(|other| *other != team);
        let covers = || host.is_wildcard() && self.below.get(host.base()).is_some_and(others_are_below);
        is_of_others(host) || is_covered() || covers()
    }

    pub(crate) fn enter(&mut self, team: TeamId, hosts: &[HostPattern]) {
        for host in hosts {
            let uses = self.used.get(host).map_or(0, |(_, uses)| *uses);
            self.used.insert(host.clone(), (team, uses + 1));
            if let Some(parent) = host.parent() {
                *self.below.entry(parent.into()).or_default().entry(team).or_insert(0) += 1;
            }
        }
    }

    pub(crate) fn leave(&mut self, team: TeamId, hosts: &[HostPattern]) {
        for host in hosts {
            if let Some((team, uses)) = self.used.remove(host)
                && uses > 1
            {
                self.used.insert(host.clone(), (team, uses - 1));
            }
            let Some(parent) = host.parent() else { continue };
            let Some(mut teams) = self.below.remove(parent) else { continue };
            match teams.remove(&team) {
                Some(uses) if uses > 1 => drop(teams.insert(team, uses - 1)),
                _ => {}
            }
            if !teams.is_empty() {
                self.below.insert(parent.into(), teams);
            }
        }
    }
}
