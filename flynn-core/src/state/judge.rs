use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::index::references;
use super::{Entry, Remembered, State, Transition, Verdict, origin};
use crate::change::{Action, Batch, Change, Expectation, MOST_CHANGES, Write, on_write};
use crate::election::Seat;
use crate::error::{Conflict, StoreError};
use crate::noun::{AppLifecycle, Kind, NodeId, Noun, Object, ObjectId, Objects, Stored, TeamId};
use crate::port::Committed;
use crate::retention::Retention;
use crate::revision::Revision;
use crate::rule::{
    Authority, Denial, Invalid, NounRules, Owner, Principal, Usage, authorize, check_sizes, combined, fits, may_know,
    within_quota,
};
use crate::scope::Membership;
use crate::time::Timestamp;
use crate::value::Resources;

const COMMIT: &str = crate::error::COMMIT;

/// Decides a batch: the state after it, or why it is refused. `state` itself stays as it is.
///
/// Every store calls this, and nothing else moves a state on, so all stores keep the same rules.
pub(crate) fn judge(
    state: &State,
    batch: &Batch,
    retention: &Retention,
    clock: Timestamp,
) -> Result<Verdict, StoreError> {
    let now = state.time.max(clock);
    let denied = |denial| StoreError::NotAllowed { operation: COMMIT, denial };
    let authority = Authority::of(batch.principal, &state.objects, clock).map_err(denied)?;
    if let Some(asked) = &batch.idempotency
        && let Some(committed) = state.keys.recall(batch.principal, asked)?
    {
        return Ok(Verdict { state: state.clone(), entry: None, committed });
    }
    if batch.changes.len() > MOST_CHANGES {
        return Err(StoreError::too_many_changes(batch.changes.len()));
    }
    check_expectations(state, batch, &authority)?;
    let mut draft = Draft::new(state, now, clock, &authority);
    for change in &batch.changes {
        draft.authorize(batch, change)?;
        draft.check_sizes(change)?;
        on_write!(change, write => draft.write(write))?;
    }
    let (mut after, entry) = draft.finish(batch.principal)?;
    let objects = entry.iter().flat_map(|entry| &entry.transitions).map(|transition| transition.id).collect();
    let committed = Committed { revision: after.revision, objects, replayed: false };
    if let Some(asked) = &batch.idempotency {
        let first = Remembered {
            principal: batch.principal,
            key: asked.key.as_str().into(),
            fingerprint: asked.fingerprint,
            at: now,
            revision: committed.revision,
            objects: committed.objects.clone(),
        };
        after.keys.remember(Arc::new(first), retention);
    }
    Ok(Verdict { state: after, entry, committed })
}

fn check_expectations(state: &State, batch: &Batch, authority: &Authority) -> Result<(), StoreError> {
    if let Principal::Controller(epoch) = batch.principal {
        let lease = state.leases.get(&Seat::Controller);
        let current = lease.map(|lease| lease.epoch).unwrap_or_default();
        if lease.is_none() || epoch != current {
            return Err(StoreError::conflict(Conflict::Deposed { epoch, current }));
        }
    }
    let known = |id| state.objects.object(id).filter(|object| may_know(authority, object, &state.objects));
    let find = |id| known(id).ok_or(StoreError::NotFound { operation: COMMIT, id });
    for expectation in &batch.expectations {
        match *expectation {
            Expectation::Spec(id, expected) => {
                let actual = find(id)?.spec_version();
                if actual != expected {
                    return Err(StoreError::conflict(Conflict::SpecVersion { id, expected, actual }));
                }
            }
            Expectation::Status(id, expected) => {
                let actual = find(id)?.status_version();
                if actual != expected {
                    return Err(StoreError::conflict(Conflict::StatusVersion { id, expected, actual }));
                }
            }
            Expectation::Exists(id) => drop(find(id)?),
            Expectation::Absent(id) => {
                if known(id).is_some() {
                    return Err(StoreError::conflict(Conflict::Exists(id)));
                }
            }
        }
    }
    Ok(())
}

/// A batch half applied.
struct Draft<'a> {
    before: &'a State,
    after: State,
    /// That of the writer, before the batch.
    authority: &'a Authority,
    /// What the clock shows. Tokens end by it, since the store's own time stands still after the clock was
    /// set back.
    clock: Timestamp,
    revision: Revision,
    /// The touched objects in the order of their first change.
    touched: Vec<ObjectId>,
    seen: BTreeSet<ObjectId>,
    /// The removed objects as they were last, with what this batch did to them before.
    removed: BTreeMap<ObjectId, Object>,
}

impl<'a> Draft<'a> {
    fn new(before: &'a State, now: Timestamp, clock: Timestamp, authority: &'a Authority) -> Self {
        let mut after = before.clone();
        after.time = now;
        Self {
            before,
            after,
            authority,
            clock,
            revision: before.revision.next(),
            touched: Vec::new(),
            seen: BTreeSet::new(),
            removed: BTreeMap::new(),
        }
    }

    fn authorize(&self, batch: &Batch, change: &Change) -> Result<(), StoreError> {
        // Looked up for each change: an earlier one of the same batch may have revoked what a later one needs.
        let denied = |denial| StoreError::NotAllowed { operation: COMMIT, denial };
        let objects = &self.after.objects;
        let authority = Authority::of(batch.principal, objects, self.clock).map_err(denied)?;
        authorize(&authority, change, objects).map_err(|denial| match denial {
            Denial::Forbidden { id, .. } if self.is_hidden(id) => StoreError::NotFound { operation: COMMIT, id },
            denial => denied(denial),
        })?;
        origin::check(batch, change, objects).map_err(denied)
    }

    /// Whether there is something that the writer may not know of.
    fn is_hidden(&self, id: ObjectId) -> bool {
        let hidden = |object| !may_know(self.authority, &object, &self.before.objects);
        self.before.objects.object(id).is_some_and(hidden)
    }

    fn check_sizes(&self, change: &Change) -> Result<(), StoreError> {
        match self.authority.is_person() {
            true => check_sizes(change, &self.after.objects).map_err(|error| StoreError::invalid(change.id(), error)),
            false => Ok(()),
        }
    }

    fn write<N: Noun + NounRules>(&mut self, write: &Write<N>) -> Result<(), StoreError>
    where
        ObjectId: From<crate::id::Id<N>>,
        Object: From<Stored<N>>,
    {
        let id = ObjectId::from(write.id);
        let invalid = |invalid: Invalid| StoreError::invalid(id, invalid);
        let old = self.after.objects.get(write.id).cloned();
        let next = match (&write.action, old) {
            (Action::Create { .. }, Some(_)) => {
                return Err(StoreError::conflict(Conflict::Exists(id)));
            }
            (Action::Create { .. }, None) if self.before.objects.contains(id) => {
                return Err(StoreError::conflict(Conflict::Exists(id)));
            }
            (Action::Create { team, spec }, None) => {
                check_owner(spec.owner(), *team).map_err(invalid)?;
                spec.validate().map_err(invalid)?;
                Some(Stored {
                    id: write.id,
                    team: *team,
                    spec: spec.clone(),
                    status: N::Status::default(),
                    spec_version: self.revision,
                    status_version: self.revision,
                    created_at: self.after.time,
                })
            }
            (_, None) => {
                return Err(StoreError::NotFound { operation: COMMIT, id });
            }
            (Action::Update(spec), Some(old)) => {
                if *spec == old.spec {
                    return Ok(());
                }
                spec.validate().map_err(invalid)?;
                old.spec.validate_update(spec).map_err(invalid)?;
                Some(Stored { spec: spec.clone(), spec_version: self.revision, ..(*old).clone() })
            }
            (Action::Report(status), Some(old)) => {
                if *status == old.status {
                    return Ok(());
                }
                old.spec.validate_report(&old.status, status).map_err(invalid)?;
                Some(Stored { status: status.clone(), status_version: self.revision, ..(*old).clone() })
            }
            (Action::Remove, Some(old)) => {
                old.spec.validate_removal(&old.status).map_err(invalid)?;
                None
            }
        };
        match next {
            Some(stored) => self.after.objects.put(stored),
            None => {
                self.removed.extend(self.after.objects.object(id).map(|object| (id, object)));
                self.after.objects.remove(id);
            }
        }
        if self.seen.insert(id) {
            self.touched.push(id);
        }
        Ok(())
    }

    fn finish(mut self, principal: Principal) -> Result<(State, Option<Arc<Entry>>), StoreError> {
        let pairs: Vec<(ObjectId, Option<Object>, Option<Object>)> = self
            .touched
            .iter()
            .map(|id| (*id, self.before.objects.object(*id), self.after.objects.object(*id)))
            .filter(|(_, before, after)| before.is_some() || after.is_some())
            .collect();
        if pairs.is_empty() {
            return Ok((self.before.clone(), None));
        }
        self.index(&pairs)?;
        for (id, before, after) in &pairs {
            match after {
                Some(after) => {
                    check_whole(after)?;
                    self.check_references(after)?;
                    if before.is_none() {
                        check_app_lives(after, &self.after.objects)?;
                    }
                }
                None if self.after.index.is_referenced(*id) => {
                    return Err(in_use(*id, &self.after.objects));
                }
                None => debug_assert!(before.is_some()),
            }
        }
        self.check_placements(&pairs)?;
        self.check_quotas(&pairs)?;
        for (id, _, after) in &pairs {
            if let (ObjectId::Deployment(id), None) = (id, after) {
                self.after.leases.remove(&Seat::Deployment(*id));
            }
        }
        self.after.revision = self.revision;
        let transitions = pairs.into_iter().map(|(id, before, after)| Transition {
            id,
            was: before.as_ref().map(Membership::of),
            archived: before.and_then(|_| self.removed.remove(&id)).filter(Object::is_archived),
            is: after,
        });
        let entry =
            Entry { revision: self.revision, at: self.after.time, principal, transitions: transitions.collect() };
        Ok((self.after, Some(Arc::new(entry))))
    }

    /// Everything leaves before anything enters, so that one batch can hand a name from one object to another.
    fn index(&mut self, pairs: &[(ObjectId, Option<Object>, Option<Object>)]) -> Result<(), StoreError> {
        for before in pairs.iter().filter_map(|(_, before, _)| before.as_ref()) {
            self.after.index.leave(before);
        }
        for after in pairs.iter().filter_map(|(_, _, after)| after.as_ref()) {
            self.after.index.enter(after).map_err(StoreError::conflict)?;
        }
        Ok(())
    }

    /// What an object refers to is there, is of its team or shared by all, and hangs from the same app.
    fn check_references(&self, object: &Object) -> Result<(), StoreError> {
        let footprint = object.footprint();
        for id in references(object.team(), &footprint) {
            let missing = StoreError::NotFound { operation: COMMIT, id };
            let Some(target) = self.after.objects.object(id) else { return Err(missing) };
            if target.team() != object.team() && !is_shared(id.kind()) {
                if self.is_hidden(id) {
                    return Err(missing);
                }
                let problem = format!("refers to {id}, which belongs to another team");
                return Err(StoreError::invalid(object.id(), Invalid::new("team", problem)));
            }
            if let (Some(own), Some(other)) = (footprint.app, target.footprint().app)
                && own != other
            {
                let problem = format!("refers to {id}, which hangs from another app");
                return Err(StoreError::invalid(object.id(), Invalid::new("app", problem)));
            }
        }
        Ok(())
    }

    fn check_placements(&self, pairs: &[(ObjectId, Option<Object>, Option<Object>)]) -> Result<(), StoreError> {
        let placed = |object: Option<&Object>| -> Option<(NodeId, Resources)> {
            let footprint = object?.footprint();
            footprint.node.zip(footprint.load)
        };
        for (id, before, after) in pairs {
            let Some((node, load)) = placed(after.as_ref()) else {
                continue;
            };
            if placed(before.as_ref()) == Some((node, load)) {
                continue;
            }
            let Some(target) = self.after.objects.get(node) else {
                return Err(StoreError::NotFound { operation: COMMIT, id: node.into() });
            };
            let others = self.after.index.load(node).minus(load);
            if let Err(misfit) = fits(target, &others, &load) {
                return Err(StoreError::conflict(Conflict::DoesNotFit { id: *id, node, misfit }));
            }
        }
        Ok(())
    }

    fn check_quotas(&self, pairs: &[(ObjectId, Option<Object>, Option<Object>)]) -> Result<(), StoreError> {
        let mut teams: BTreeMap<TeamId, (Usage, Usage)> = BTreeMap::new();
        for object in pairs.iter().flat_map(|(_, before, after)| [before, after]).flatten() {
            let team = object.team();
            teams.entry(team).or_insert_with(|| (self.before.index.usage(team), self.after.index.usage(team)));
        }
        for (team, (before, after)) in teams {
            let find = |team| self.after.index.quota_of(team).and_then(|id| self.after.objects.get(id));
            let [own, of_all] = [team, TeamId::SYSTEM].map(|team| find(team).map(|quota| &quota.spec));
            let quota = combined(team, own, of_all);
            within_quota(&quota, &before, &after)
                .map_err(|over| StoreError::conflict(Conflict::OverQuota { team, over }))?;
        }
        Ok(())
    }
}

fn check_whole(object: &Object) -> Result<(), StoreError> {
    object.validate_whole().map_err(|invalid| StoreError::invalid(object.id(), invalid))
}

fn check_owner(owner: Owner, team: TeamId) -> Result<(), Invalid> {
    match owner {
        Owner::Cluster if team != TeamId::SYSTEM => {
            Err(Invalid::new("team", "it belongs to the cluster: let the system team own it"))
        }
        Owner::Team(own) if team != own => Err(Invalid::new("team", format!("it belongs to team {own}"))),
        _ => Ok(()),
    }
}

/// What belongs to the cluster and is there for all teams.
fn is_shared(kind: Kind) -> bool {
    matches!(kind, Kind::Node | Kind::Provider | Kind::Router | Kind::Team | Kind::User)
}

/// Nothing is hung from an app that is being taken apart, since it would have to be taken away again.
fn check_app_lives(object: &Object, objects: &Objects) -> Result<(), StoreError> {
    let app = object.footprint().app.filter(|app| ObjectId::from(*app) != object.id()).and_then(|app| objects.get(app));
    match app {
        Some(app) if app.spec.lifecycle == AppLifecycle::Destroying => {
            let problem = format!("the app {} is being destroyed", app.spec.name);
            Err(StoreError::invalid(object.id(), Invalid::new("app", problem)))
        }
        _ => Ok(()),
    }
}

fn in_use(id: ObjectId, objects: &Objects) -> StoreError {
    let user = objects.all().find(|object| references(object.team(), &object.footprint()).any(|needed| needed == id));
    match user {
        Some(user) => StoreError::conflict(Conflict::InUse { id, by: user.id() }),
        None => StoreError::Internal {
            operation: COMMIT,
            source: format!("the index counts users of {id} that are not there").into(),
        },
    }
}
