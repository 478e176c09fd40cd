//! Nodes and routers that come and go, and what is lost with a node.

use std::time::Duration;

use flynn_core::noun::{
    Build, BuildState, BuildStatus, Job, JobState, JobStatus, Liveness, Node, NodeStatus, Objects, Router, RouterStatus,
};
use flynn_core::port::Member;
use flynn_core::{NodeId, Revision, Timestamp};

use super::Ledger;
use super::observed::Observed;
use super::policy::Policy;

pub(super) fn judge_nodes(ledger: &mut Ledger<'_>, observed: &Observed, now: Timestamp, policy: &Policy) {
    let nodes: Vec<_> = ledger.objects().iter::<Node>().cloned().collect();
    for node in nodes {
        let old = node.status.liveness;
        let (liveness, until) = judge(old, Member::Node(node.id), observed, now, policy.lost_after);
        until.into_iter().for_each(|until| ledger.look_again(until));
        if liveness != old {
            ledger.report(node.id, NodeStatus { liveness, ..node.status.clone() });
        }
    }
}

pub(super) fn judge_routers(ledger: &mut Ledger<'_>, observed: &Observed, now: Timestamp, policy: &Policy) {
    let routers: Vec<_> = ledger.objects().iter::<Router>().cloned().collect();
    for router in routers {
        let old = router.status.liveness;
        let (liveness, until) = judge(old, Member::Router(router.id), observed, now, policy.lost_after);
        until.into_iter().for_each(|until| ledger.look_again(until));
        if liveness != old {
            ledger.report(router.id, RouterStatus { liveness, ..router.status.clone() });
        }
    }
}

/// Whether a member is there, and until when that holds if nothing is heard of it.
fn judge(
    old: Liveness,
    member: Member,
    observed: &Observed,
    now: Timestamp,
    lost_after: Duration,
) -> (Liveness, Option<Timestamp>) {
    // The first word of a member comes with what it has, so it is its own.
    if old == Liveness::Unseen {
        return (old, None);
    }
    let since = observed.watching_since;
    let (suspect_at, lost_at) = match observed.seen.get(&member) {
        Some(seen) => (seen.until, (seen.at.max(since) + lost_after).max(seen.until)),
        None => (since + lost_after / 2, since + lost_after),
    };
    match old {
        _ if observed.is_present(member, now) => (Liveness::Ready, Some(suspect_at)),
        Liveness::Lost => (Liveness::Lost, None),
        _ if now >= lost_at => (Liveness::Lost, None),
        _ if now >= suspect_at => (Liveness::Suspect, Some(lost_at)),
        _ => (old, Some(if old == Liveness::Suspect { lost_at } else { suspect_at })),
    }
}

/// Gives up the jobs and builds of lost nodes.
pub(super) fn lose_work(ledger: &mut Ledger<'_>, now: Timestamp) {
    let lost = |ledger: &Ledger<'_>, node: Option<NodeId>| {
        let node = node.and_then(|id| ledger.objects().get(id));
        let node = node.filter(|node| node.status.liveness == Liveness::Lost)?;
        Some(format!("node {} was not heard of any more", node.spec.name))
    };
    let jobs: Vec<_> = ledger.objects().iter::<Job>().filter(|job| !job.status.state.is_end()).cloned().collect();
    for job in jobs {
        if let Some(reason) = lost(ledger, job.spec.node) {
            ledger.report(job.id, JobStatus { state: JobState::Lost { reason }, since: now });
        }
    }
    let builds: Vec<_> = ledger.objects().iter::<Build>().filter(|b| !b.status.state.is_end()).cloned().collect();
    for build in builds {
        if let Some(reason) = lost(ledger, build.spec.node) {
            ledger.report(build.id, BuildStatus { state: BuildState::Lost { reason }, since: now });
        }
    }
}

/// What each live router has acknowledged.
///
/// One whose lease ended a short time ago may still send requests, so it counts as live until it is lost.
#[derive(Debug)]
pub(super) struct Routers(Vec<Revision>);

impl Routers {
    pub(super) fn alive(objects: &Objects, observed: &Observed, now: Timestamp) -> Self {
        let is_up = |liveness| matches!(liveness, Liveness::Ready | Liveness::Suspect);
        let registered = objects.iter::<Router>().filter(|router| is_up(router.status.liveness));
        let mut acknowledged: std::collections::BTreeMap<Member, Revision> =
            registered.map(|router| (Member::Router(router.id), Revision::ZERO)).collect();
        for (member, seen) in &observed.seen {
            let is_alive = acknowledged.contains_key(member) || seen.until > now;
            if matches!(member, Member::Router(_)) && is_alive {
                acknowledged.insert(*member, seen.beat.acknowledged);
            }
        }
        Self(acknowledged.into_values().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no live router goes by a table older than `revision`.
    pub(super) fn have_seen(&self, revision: Revision) -> bool {
        self.0.iter().all(|acknowledged| *acknowledged >= revision)
    }
}
