//! What a caller may do here.

use std::sync::Arc;

use axum::http::request::Parts;

use super::Peer;
use crate::change::{Batch, Change, Expectation};
use crate::election::Seat;
use crate::error::StoreError;
use crate::noun::{
    App, Certificate, CertificateId, Grant, Job, JobId, NodeId, Objects, Stored, Token, TokenScope, User,
};
use crate::port::{Member, Sample, Snapshot, Store, TailError};
use crate::rule::{Authority, Denial, Power, Principal, authorize, authorize_read};
use crate::scope::Scope;
use crate::server::problem::Refused;
use crate::server::{Authenticator, Caller};
use crate::time::Clock;

/// A caller, and what it may do in some state of the store.
pub(in crate::server) struct Pass {
    pub(super) snapshot: Snapshot,
    caller: Caller,
    authority: Authority,
}

/// What a caller may read changes with these.
fn share_access(one: &Objects, other: &Objects) -> bool {
    one.shares::<Token>(other) && one.shares::<User>(other) && one.shares::<Grant>(other) && one.shares::<App>(other)
}

impl Pass {
    fn of(caller: Caller, snapshot: Snapshot, clock: &dyn Clock) -> Result<Self, Denial> {
        let principal = match caller {
            Caller::Trusted => Principal::System,
            Caller::Is(principal) => principal,
        };
        let authority = Authority::of(principal, &snapshot.objects, clock.now())?;
        Ok(Self { snapshot, caller, authority })
    }

    pub(super) fn may_read(&self, scope: Scope) -> Result<(), Denial> {
        authorize_read(&self.authority, scope, &self.snapshot.objects)
    }

    /// Makes `batch` one that the caller may send, if it is not one already.
    pub(super) fn admit(&self, batch: &mut Batch) -> Result<(), Denial> {
        let Caller::Is(own) = self.caller else { return Ok(()) };
        if batch.principal == own {
            return Ok(());
        }
        if let Principal::Bearer(id) = own
            && let Some(token) = self.snapshot.objects.get(id)
            && stands_for(token.spec.scope) == Some(batch.principal)
        {
            batch.expectations.push(Expectation::Exists(id.into()));
            return Ok(());
        }
        Err(Denial::Reserved { reason: "the batch names a principal that is not the caller".into() })
    }

    /// What a refusal of an admitted batch means to its writer.
    pub(super) fn explain(&self, error: StoreError) -> StoreError {
        match (self.caller, error) {
            (Caller::Is(Principal::Bearer(token)), StoreError::NotFound { operation, id }) if id == token.into() => {
                StoreError::NotAllowed { operation, denial: Denial::UnknownToken }
            }
            (_, error) => error,
        }
    }

    pub(super) fn may_lead(&self, seat: Seat) -> Result<(), Denial> {
        match (self.caller, seat) {
            (Caller::Trusted, _) => Ok(()),
            (_, Seat::Controller) => {
                Err(Denial::Reserved { reason: "only the machine of the store runs the controller".into() })
            }
            (_, Seat::Deployment(id)) => match self.snapshot.objects.get(id) {
                Some(deployment) => {
                    let change = Change::update(id, deployment.spec.clone());
                    authorize(&self.authority, &change, &self.snapshot.objects)
                }
                None => Ok(()),
            },
        }
    }

    pub(super) fn may_beat(&self, member: Member) -> Result<(), Denial> {
        let own = match member {
            Member::Node(node) => Power::Node(node),
            Member::Router(router) => Power::Router(router),
        };
        match self.is_trusted() || self.authority.powers().contains(&own) {
            true => Ok(()),
            false => Err(Denial::Reserved { reason: "a node or router says itself that it is there".into() }),
        }
    }

    /// The samples that the caller may record: all of a router's, and a node's of its own jobs. Those of a job
    /// that has gone in the meantime are left out.
    pub(super) fn admit_samples(&self, mut samples: Vec<Sample>) -> Result<Vec<Sample>, Denial> {
        let powers = self.authority.powers();
        if self.is_trusted() || powers.iter().any(|power| matches!(power, Power::Router(_))) {
            return Ok(samples);
        }
        let Some(own) = powers.iter().find_map(|power| match power {
            Power::Node(node) => Some(*node),
            _ => None,
        }) else {
            return Err(Denial::Reserved { reason: "only nodes and routers measure".into() });
        };
        let mut foreign = false;
        samples.retain(|sample| {
            let job = sample.subject.job.map(|id| self.snapshot.objects.get(id));
            let Some(Some(job)) = job else {
                foreign |= job.is_none();
                return false;
            };
            foreign |= job.spec.node != Some(own) || job.spec.app != sample.subject.app;
            true
        });
        match foreign {
            false => Ok(samples),
            true => Err(Denial::Reserved { reason: "a node measures the jobs that are placed on it".into() }),
        }
    }

    pub(super) fn may_move_blobs(&self) -> Result<(), Denial> {
        match self.is_trusted() || self.authority.powers().iter().any(|power| matches!(power, Power::Node(_))) {
            true => Ok(()),
            false => Err(Denial::Reserved { reason: "only nodes ask for blobs".into() }),
        }
    }

    pub(super) fn may_remove_blobs(&self) -> Result<(), Denial> {
        match self.is_trusted() {
            true => Ok(()),
            false => Err(Denial::Reserved { reason: "only the machine of the store removes blobs".into() }),
        }
    }

    pub(in crate::server) fn may_link(&self, node: NodeId) -> Result<(), Denial> {
        match self.is_node(node) {
            true => Ok(()),
            false => Err(Denial::Reserved { reason: "a node links by itself".into() }),
        }
    }

    /// The job whose environment the caller may open.
    pub(super) fn may_open(&self, job: JobId) -> Result<&Stored<Job>, Refused> {
        const OPEN: &str = "open the environment";
        let stored = self.snapshot.objects.get(job);
        let stored = stored.ok_or_else(|| StoreError::NotFound { operation: OPEN, id: job.into() })?;
        match self.is_trusted() || stored.spec.node.is_some_and(|node| self.is_node(node)) {
            true => Ok(stored),
            false => {
                let reason = "a job's environment is opened for the node that it is placed on".into();
                Err(Refused::denied(OPEN, Denial::Reserved { reason }))
            }
        }
    }

    /// The certificate whose private key the caller may open.
    pub(super) fn may_open_key(&self, id: CertificateId) -> Result<&Stored<Certificate>, Refused> {
        const OPEN: &str = "open the private key";
        let is_router = self.authority.powers().iter().any(|power| matches!(power, Power::Router(_)));
        if !self.is_trusted() && !is_router {
            let reason = "the private keys of certificates are opened for routers".into();
            return Err(Refused::denied(OPEN, Denial::Reserved { reason }));
        }
        let stored =
            self.snapshot.objects.get(id).ok_or_else(|| StoreError::NotFound { operation: OPEN, id: id.into() })?;
        Ok(stored)
    }

    fn is_node(&self, node: NodeId) -> bool {
        self.is_trusted() || self.authority.powers().contains(&Power::Node(node))
    }

    /// Whether the caller is a part of the platform.
    fn is_member(&self) -> bool {
        let is_member = |power: &Power| matches!(power, Power::Node(_) | Power::Router(_));
        self.is_trusted() || self.authority.powers().iter().any(is_member)
    }

    fn is_trusted(&self) -> bool {
        self.caller == Caller::Trusted
    }
}

/// Who may do what, for routes that need no more of a store.
pub(in crate::server) struct Gate<S> {
    store: Arc<S>,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
}

impl<S: Store> Gate<S> {
    pub(in crate::server) fn new(store: Arc<S>, authenticator: Arc<dyn Authenticator>, clock: Arc<dyn Clock>) -> Self {
        Self { store, authenticator, clock }
    }

    /// Who asks, and what they may do at present.
    pub(in crate::server) async fn pass(&self, operation: &'static str, head: &Parts) -> Result<Pass, Refused> {
        let caller = self.authenticator.authenticate(head).await?;
        let snapshot = self.store.snapshot(Scope::All).await?;
        Pass::of(caller, snapshot, &*self.clock).map_err(|denial| Refused::denied(operation, denial))
    }
}

/// The principal that can do exactly what a token of `scope` opens.
fn stands_for(scope: TokenScope) -> Option<Principal> {
    match scope {
        TokenScope::Node(node) => Some(Principal::Node(node)),
        TokenScope::Router(router) => Some(Principal::Router(router)),
        TokenScope::User(_) | TokenScope::Team(..) | TokenScope::App(..) => None,
    }
}

impl<S: Store> Peer<S> {
    /// What `caller` may do at present.
    pub(super) async fn pass(&self, operation: &'static str, caller: Caller) -> Result<Pass, Refused> {
        let snapshot = self.store.snapshot(Scope::All).await?;
        let pass = Pass::of(caller, snapshot, &*self.options.clock);
        let pass = pass.map_err(|denial| Refused::denied(operation, denial))?;
        match self.options.people || pass.is_member() {
            true => Ok(pass),
            false => {
                let reason = "this is between the parts of the platform: use the API below /v1".into();
                Err(Refused::denied(operation, Denial::Reserved { reason }))
            }
        }
    }
}

/// Watches that a reader may still read.
pub(super) struct ReadGuard<S> {
    peer: Arc<Peer<S>>,
    caller: Caller,
    scope: Scope,
    /// The state in which it was judged last.
    judged: Objects,
}

impl<S: Store> ReadGuard<S> {
    pub(super) fn new(peer: Arc<Peer<S>>, caller: Caller, scope: Scope, judged: Objects) -> Self {
        Self { peer, caller, scope, judged }
    }

    /// Judges again, if who may do what has changed since.
    pub(super) async fn check(&mut self) -> Result<(), TailError> {
        if self.caller == Caller::Trusted {
            return Ok(());
        }
        let snapshot = self.snapshot().await?;
        match share_access(&self.judged, &snapshot.objects) {
            true => Ok(()),
            false => self.judge(snapshot),
        }
    }

    /// Judges again, for time has passed.
    pub(super) async fn check_time(&mut self) -> Result<(), TailError> {
        let snapshot = self.snapshot().await?;
        self.judge(snapshot)
    }

    async fn snapshot(&self) -> Result<Snapshot, TailError> {
        self.peer.store.snapshot(Scope::All).await.map_err(|error| TailError::Unavailable(error.into()))
    }

    fn judge(&mut self, snapshot: Snapshot) -> Result<(), TailError> {
        let pass = Pass::of(self.caller, snapshot, &*self.peer.options.clock).map_err(TailError::NotAllowed)?;
        pass.may_read(self.scope).map_err(TailError::NotAllowed)?;
        self.judged = pass.snapshot.objects;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StoreError;
    use crate::id::Id;
    use crate::noun::{ObjectId, TeamId, TokenHash, TokenId, UserId};
    use crate::revision::Revision;
    use crate::time::{SystemClock, Timestamp};

    const NODE: NodeId = Id::from_uuid(uuid::Uuid::from_u128(1));
    const TOKEN: TokenId = Id::from_uuid(uuid::Uuid::from_u128(2));

    fn pass(scope: TokenScope) -> Pass {
        let spec = Token { hash: TokenHash([0; 32]), scope, label: String::new(), expires: None };
        let token = Stored {
            id: TOKEN,
            team: TeamId::SYSTEM,
            spec,
            status: (),
            spec_version: Revision::ZERO,
            status_version: Revision::ZERO,
            created_at: Timestamp::EPOCH,
        };
        let objects = [token.into()].into_iter().collect();
        let snapshot = Snapshot { revision: Revision::ZERO, at: Timestamp::EPOCH, objects };
        Pass::of(Caller::Is(Principal::Bearer(TOKEN)), snapshot, &SystemClock).unwrap()
    }

    fn admit(scope: TokenScope, named: Principal) -> Result<Vec<Expectation>, Denial> {
        let mut batch = Batch::new(named);
        pass(scope).admit(&mut batch).map(|()| batch.expectations)
    }

    #[test]
    fn a_node_that_is_named_by_its_token_expects_the_token_to_be_there() {
        let own = TokenScope::Node(NODE);
        assert_eq!(admit(own, Principal::Node(NODE)), Ok(vec![Expectation::Exists(TOKEN.into())]));
        assert_eq!(admit(own, Principal::Bearer(TOKEN)), Ok(vec![]), "the commit judges the token itself");
        assert!(admit(own, Principal::Node(NodeId::NIL)).is_err());
        assert!(admit(TokenScope::User(UserId::NIL), Principal::Node(NODE)).is_err());
        assert!(admit(own, Principal::System).is_err());
    }

    #[test]
    fn a_token_that_is_gone_when_the_commit_is_judged_is_unknown() {
        let missing =
            |id: ObjectId| pass(TokenScope::Node(NODE)).explain(StoreError::NotFound { operation: "commit", id });
        let gone = missing(TOKEN.into());
        assert!(matches!(gone, StoreError::NotAllowed { denial: Denial::UnknownToken, .. }), "{gone:?}");
        let other = missing(NODE.into());
        assert!(matches!(other, StoreError::NotFound { id, .. } if id == NODE.into()), "{other:?}");
    }
}
