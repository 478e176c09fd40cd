//! Which part of a store a reader follows.

use crate::noun::{AppId, Kind, NodeId, Object, TeamId};
use crate::rule::Footprint;

/// A part of a store's objects.
///
/// Whether an object is in scope depends on the object alone, so that every event can be judged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Everything.
    All,
    /// What a team owns.
    Team(TeamId),
    /// An app and what hangs from it.
    App(AppId),
    /// A node, and the jobs, builds and volumes placed on it.
    Node(NodeId),
    /// What routers need: apps, certificates, deployments, jobs, routers and routes, without environments.
    Router,
}

/// What scopes look at in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) kind: Kind,
    pub(crate) team: TeamId,
    pub(crate) app: Option<AppId>,
    pub(crate) node: Option<NodeId>,
}

impl Membership {
    pub(crate) fn of(object: &Object) -> Self {
        let Footprint { app, node, .. } = object.footprint();
        Self { kind: object.id().kind(), team: object.team(), app, node }
    }
}

impl Scope {
    /// Whether `object` is in scope.
    pub fn contains(&self, object: &Object) -> bool {
        *self == Self::All || self.admits(&Membership::of(object))
    }

    pub(crate) fn admits(&self, member: &Membership) -> bool {
        match self {
            Self::All => true,
            Self::Team(team) => member.team == *team,
            Self::App(app) => member.app == Some(*app),
            Self::Node(node) => member.node == Some(*node),
            Self::Router => matches!(
                member.kind,
                Kind::App | Kind::Certificate | Kind::Deployment | Kind::Job | Kind::Router | Kind::Route
            ),
        }
    }

    /// `object` as a reader of this scope sees it; none if it is not in scope.
    pub fn view(&self, object: &Object) -> Option<Object> {
        self.contains(object).then(|| self.redact(object))
    }

    pub(crate) fn redact(&self, object: &Object) -> Object {
        match (self, object) {
            (Self::Router, Object::App(app)) if !app.spec.env.is_empty() => {
                let mut bare = (**app).clone();
                bare.spec.env.clear();
                bare.into()
            }
            (Self::Router, Object::Job(job)) if !job.spec.workload.env.is_empty() => {
                let mut bare = (**job).clone();
                std::sync::Arc::make_mut(&mut bare.spec.workload).env.clear();
                bare.into()
            }
            _ => object.clone(),
        }
    }
}
