//! What a request changes: decided from a state, and again if that is not the present one any more.

use std::sync::PoisonError;

use super::call::{Call, IfMatch, unchanged};
use super::{Api, ApiError};
use crate::change::{Batch, Change, Expectation};
use crate::error::{Conflict, StoreError};
use crate::id::Id;
use crate::noun::{AppId, AppLifecycle, Noun, ObjectId, Objects, Stored, TeamId};
use crate::port::Committed;
use crate::rule::{Claim, check_sizes};
use crate::scope::Scope;
use crate::server::Caller;
use crate::time::Timestamp;
use crate::value::Digest;

/// How often a decision is made anew because somebody else was first.
const ATTEMPTS: u32 = 8;

/// Changes that are being put together, from a state that they all start from.
pub(crate) struct Edit<'a> {
    /// The state.
    pub(crate) objects: &'a Objects,
    pub(crate) now: Timestamp,
    batch: Batch,
    if_match: &'a IfMatch,
    api: &'a Api,
}

impl Edit<'_> {
    pub(crate) fn api(&self) -> &Api {
        self.api
    }

    /// A fresh id.
    pub(crate) fn id<N>(&self) -> Id<N> {
        self.api.ids.lock().unwrap_or_else(PoisonError::into_inner).next(self.now)
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.batch.changes.push(change);
    }

    pub(crate) fn expect(&mut self, expectation: Expectation) {
        self.batch.expectations.push(expectation);
    }

    /// Says that the caller has uploaded this.
    pub(crate) fn received(&mut self, content: Digest) {
        self.batch.received.push(content);
    }

    /// Creates an object of `team`.
    pub(crate) fn create<N: Noun>(&mut self, team: TeamId, spec: N) -> Id<N> {
        let id = self.id();
        self.push(Change::create(id, team, spec));
        id
    }

    /// Replaces the spec of an object, which must still be the one that was read.
    pub(crate) fn update<N: Noun>(&mut self, stored: &Stored<N>, spec: N)
    where
        ObjectId: From<Id<N>>,
    {
        self.expect(unchanged(stored));
        self.push(Change::update(stored.id, spec));
    }

    /// Removes an object, which must still be the one that was read.
    pub(crate) fn remove<N: Noun>(&mut self, stored: &Stored<N>)
    where
        ObjectId: From<Id<N>>,
    {
        self.expect(unchanged(stored));
        self.push(Change::remove(stored.id));
    }

    /// The object that is to be changed, if the caller means this version of it.
    pub(crate) fn meant<N: Noun>(&self, id: Id<N>) -> Result<std::sync::Arc<Stored<N>>, ApiError> {
        let stored =
            self.objects.get(id).ok_or_else(|| ApiError::not_found(N::KIND.as_str(), &id.to_string()))?.clone();
        self.if_match.check(stored.spec_version)?;
        Ok(stored)
    }

    /// Whether the caller means an object of this version.
    pub(crate) fn check_version(&self, version: crate::revision::Revision) -> Result<(), ApiError> {
        self.if_match.check(version)
    }

    /// An app that is not being destroyed. It stays as it is until this is committed.
    pub(crate) fn living(&self, app: AppId) -> Result<std::sync::Arc<Stored<crate::noun::App>>, ApiError> {
        let app = self.objects.get(app).ok_or_else(|| ApiError::not_found("app", &app.to_string()))?;
        match app.spec.lifecycle {
            AppLifecycle::Active => Ok(app.clone()),
            AppLifecycle::Destroying => Err(ApiError::conflict(format!("app `{}` is being destroyed", app.spec.name))),
        }
    }
}

/// Whether the same decision on a newer state may succeed.
fn is_race(conflict: &Conflict) -> bool {
    match conflict {
        Conflict::SpecVersion { .. } | Conflict::StatusVersion { .. } | Conflict::Exists(_) => true,
        Conflict::Claimed { claim, .. } => matches!(
            claim,
            Claim::ReleaseNumber(..)
                | Claim::BuildNumber(..)
                | Claim::Formation(_)
                | Claim::OpenDeployment(_)
                | Claim::Grant(..)
                | Claim::Quota(_)
        ),
        _ => false,
    }
}

impl Call {
    /// What was committed before under the same idempotency key; none if nothing was.
    pub(super) async fn recall(&mut self) -> Result<Option<Committed>, ApiError> {
        let Some(idempotency) = self.idempotency() else { return Ok(None) };
        let mut probe = Batch::new(self.principal());
        probe.idempotency = Some(idempotency);
        // A batch that was applied before is answered before its expectations are looked at. This one cannot be met,
        // so that nothing is remembered of it.
        probe.expectations.push(Expectation::Exists(ObjectId::App(AppId::NIL)));
        match self.api.state.store.commit(probe).await {
            Ok(committed) => {
                self.catch_up(committed.revision).await?;
                Ok(Some(committed))
            }
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(ApiError::of_commit(error, self.objects(), |id| self.sees(id))),
        }
    }

    /// Commits what `decide` puts together, in the caller's name and under its idempotency key. It is asked
    /// again with a newer state if somebody else changed what it went by.
    pub(crate) async fn commit(
        &mut self,
        decide: impl Fn(&mut Edit<'_>) -> Result<(), ApiError> + Send,
    ) -> Result<Committed, ApiError> {
        let mut attempt = 1;
        loop {
            let decided = {
                let mut batch = Batch::new(self.principal());
                batch.idempotency = self.idempotency();
                let Self { snapshot, now, if_match, api, .. } = &*self;
                let mut edit = Edit { objects: &snapshot.objects, now: *now, batch, if_match, api };
                decide(&mut edit).map(|()| edit.batch)
            };
            let batch = match decided {
                Ok(batch) => batch,
                // What was done already may be impossible to do again.
                Err(error) => return self.recall().await?.ok_or(error),
            };
            if self.caller == Caller::Trusted {
                // It commits as the system, which no bounds are set to, and is a person all the same.
                batch.changes.iter().try_for_each(|change| check_sizes(change, self.objects()))?;
            }
            match self.api.state.store.commit(batch).await {
                Ok(committed) => {
                    self.catch_up(committed.revision).await?;
                    return Ok(committed);
                }
                Err(StoreError::Conflict { conflict, .. }) if attempt < ATTEMPTS && is_race(&conflict) => {
                    attempt += 1;
                    self.snapshot = self.api.state.store.snapshot(Scope::All).await?;
                }
                Err(error) => {
                    if let StoreError::Conflict { .. } = error {
                        self.snapshot = self.api.state.store.snapshot(Scope::All).await?;
                    }
                    return Err(ApiError::of_commit(error, self.objects(), |id| self.sees(id)));
                }
            }
        }
    }
}
