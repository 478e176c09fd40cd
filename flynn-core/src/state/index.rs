use imbl::HashMap;

use super::hosts::Hosts;
use crate::error::Conflict;
use crate::noun::{NodeId, Object, ObjectId, QuotaId, TeamId};
use crate::rule::{Claim, Footprint, Usage};
use crate::value::Resources;

/// What the rules look up, kept in step with the objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    claims: HashMap<Claim, ObjectId>,
    hosts: Hosts,
    referrers: HashMap<ObjectId, u64>,
    loads: HashMap<NodeId, Resources>,
    usage: HashMap<TeamId, Usage>,
}

impl Index {
    pub(crate) fn load(&self, node: NodeId) -> Resources {
        self.loads.get(&node).copied().unwrap_or_default()
    }

    pub(crate) fn usage(&self, team: TeamId) -> Usage {
        self.usage.get(&team).copied().unwrap_or_default()
    }

    pub(crate) fn quota_of(&self, team: TeamId) -> Option<QuotaId> {
        match self.claims.get(&Claim::Quota(team)) {
            Some(ObjectId::Quota(id)) => Some(*id),
            _ => None,
        }
    }

    pub(crate) fn is_referenced(&self, id: ObjectId) -> bool {
        self.referrers.contains_key(&id)
    }

    /// Enters an object that was judged before.
    #[cfg(feature = "sqlite")]
    pub(crate) fn restore(&mut self, object: &Object) {
        let footprint = object.footprint();
        for claim in &footprint.claims {
            self.claims.insert(claim.clone(), object.id());
        }
        self.enter_shared(object.team(), &footprint);
    }

    /// Takes an object out, with the footprint it was entered with.
    pub(crate) fn leave(&mut self, object: &Object) {
        let footprint = object.footprint();
        for claim in &footprint.claims {
            self.claims.remove(claim);
        }
        self.hosts.leave(object.team(), &footprint.hosts);
        for id in references(object.team(), &footprint) {
            match self.referrers.remove(&id) {
                Some(count) if count > 1 => drop(self.referrers.insert(id, count - 1)),
                _ => {}
            }
        }
        if let (Some(node), Some(load)) = (footprint.node, footprint.load) {
            match self.load(node).minus(load) {
                Resources::ZERO => drop(self.loads.remove(&node)),
                rest => drop(self.loads.insert(node, rest)),
            }
        }
        match self.usage(object.team()).minus(footprint.usage) {
            Usage::ZERO => drop(self.usage.remove(&object.team())),
            rest => drop(self.usage.insert(object.team(), rest)),
        }
    }

    /// Enters an object.
    ///
    /// # Errors
    /// It claims what another object holds.
    pub(crate) fn enter(&mut self, object: &Object) -> Result<(), Conflict> {
        let footprint = object.footprint();
        for claim in &footprint.claims {
            if let Some(holder) = self.claims.insert(claim.clone(), object.id()) {
                return Err(Conflict::Claimed { claim: claim.clone(), holder });
            }
        }
        if let Some(host) = self.hosts.taken(object.team(), &footprint.hosts) {
            return Err(Conflict::HostTaken { host });
        }
        self.enter_shared(object.team(), &footprint);
        Ok(())
    }

    fn enter_shared(&mut self, team: TeamId, footprint: &Footprint) {
        self.hosts.enter(team, &footprint.hosts);
        for id in references(team, footprint) {
            let count = self.referrers.get(&id).copied().unwrap_or(0);
            self.referrers.insert(id, count + 1);
        }
        if let (Some(node), Some(load)) = (footprint.node, footprint.load)
            && load != Resources::ZERO
        {
            self.loads.insert(node, self.load(node).plus(load));
        }
        if footprint.usage != Usage::ZERO {
            self.usage.insert(team, self.usage(team).plus(footprint.usage));
        }
    }
}

/// What an object needs: what its footprint names, and its team.
pub(crate) fn references(team: TeamId, footprint: &Footprint) -> impl Iterator<Item = ObjectId> + '_ {
    let team = (team != TeamId::SYSTEM).then_some(ObjectId::Team(team));
    footprint.references.iter().copied().chain(team)
}

#[cfg(test)]
impl Index {
    /// Whether it is what the objects alone say.
    pub(crate) fn is_consistent_with(&self, objects: &crate::noun::Objects) -> bool {
        let mut fresh = Self::default();
        objects.all().all(|object| fresh.enter(&object).is_ok())
            && self.claims == fresh.claims
            && self.hosts == fresh.hosts
            && self.referrers == fresh.referrers
            && self.loads == fresh.loads
            && self.usage == fresh.usage
    }
}
