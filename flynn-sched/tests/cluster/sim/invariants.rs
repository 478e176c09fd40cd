//! What must hold after every single commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use flynn_core::noun::{
    Build, Deployment, Desired, Formation, Job, JobId, JobState, Liveness, Node, Purpose, Router, Stored,
};
use flynn_core::port::{Member, Seen, Snapshot};
use flynn_core::value::{Dimension, Resources};
use flynn_core::{Revision, Timestamp};
use flynn_sched::Policy;

/// What was seen of a job before.
#[derive(Debug, Clone)]
struct Before {
    desired: Desired,
    was_routed: bool,
    was_placed: bool,
    drained_at: Option<(Revision, Timestamp)>,
}

#[derive(Debug, Default)]
pub(crate) struct Watcher {
    jobs: BTreeMap<JobId, Before>,
}

impl Watcher {
    pub(crate) fn check(
        &mut self,
        snapshot: &Snapshot,
        seen: &BTreeMap<Member, Seen>,
        now: Timestamp,
        policy: &Policy,
    ) {
        check_capacity(snapshot);
        check_open_deployments(snapshot);
        self.check_placement(snapshot);
        let acknowledged = acknowledged(snapshot, seen, now);
        let mut jobs = BTreeMap::new();
        for job in snapshot.objects.iter::<Job>() {
            let before = self.jobs.get(&job.id);
            let desired = job.spec.desired;
            let drained_at = match before {
                Some(before) if before.drained_at.is_some() => before.drained_at,
                _ if desired == Desired::Drain => Some((job.spec_version, now)),
                _ => None,
            };
            let is_signalled = desired == Desired::Down && before.is_some_and(|before| before.desired != desired);
            if is_signalled && before.is_some_and(|before| before.was_routed) && !acknowledged.is_empty() {
                let (revision, at) = drained_at.expect("an instance that served was told to end without draining");
                let all_agree = acknowledged.iter().all(|acknowledged| *acknowledged >= revision);
                assert!(all_agree || now >= at + policy.drain, "told to end before routers stopped sending to it");
            }
            let is_up = matches!(job.status.state, JobState::Up { .. });
            let was_routed = is_up && job.spec.workload.process.port.is_some();
            let was_placed = job.spec.node.is_some();
            jobs.insert(job.id, Before { desired, was_routed, was_placed, drained_at });
        }
        self.jobs = jobs;
    }

    /// What got a node is where its formation lets it be.
    fn check_placement(&self, snapshot: &Snapshot) {
        let was_placed = |job: &Stored<Job>| self.jobs.get(&job.id).is_some_and(|before| before.was_placed);
        for job in snapshot.objects.iter::<Job>().filter(|job| job.spec.node.is_some() && !was_placed(job)) {
            let Purpose::Service { process, .. } = &job.spec.purpose else { continue };
            let formation = snapshot.objects.iter::<Formation>().find(|formation| formation.spec.app == job.spec.app);
            let Some(scale) = formation.and_then(|formation| formation.spec.processes.get(process)) else { continue };
            let node = snapshot.objects.get(job.spec.node.unwrap()).unwrap();
            assert!(scale.placement.suits(&node.spec.labels), "{} is on {}", job.name(), node.spec.name);
            let is_beside = |other: &&Arc<Stored<Job>>| {
                let is_alike = matches!(&other.spec.purpose, Purpose::Service { process: own, .. } if own == process);
                is_alike && other.spec.node == job.spec.node && !other.status.state.is_end()
            };
            let beside = snapshot.objects.iter::<Job>().filter(is_beside).count();
            let most = scale.placement.most_per_node.map_or(usize::MAX, |most| usize::try_from(most).unwrap());
            assert!(beside <= most, "{beside} {process} on {}", node.spec.name);
        }
    }
}

fn check_capacity(snapshot: &Snapshot) {
    let mut loads: BTreeMap<_, Resources> = BTreeMap::new();
    let jobs = snapshot.objects.iter::<Job>().filter(|job| !job.status.state.is_end());
    let builds = snapshot.objects.iter::<Build>().filter(|build| !build.status.state.is_end());
    let placed = jobs.map(|job| (job.spec.node, job.spec.resources));
    for (node, resources) in placed.chain(builds.map(|build| (build.spec.node, build.spec.resources))) {
        if let Some(node) = node {
            let load = loads.entry(node).or_default();
            *load = load.plus(resources);
        }
    }
    for (node, load) in loads {
        let node = snapshot.objects.get::<Node>(node).unwrap();
        for dimension in Dimension::ALL {
            let capacity = node.status.capacity.get(dimension);
            assert!(load.get(dimension) <= capacity, "{} is over its {dimension}", node.spec.name);
        }
    }
}

fn check_open_deployments(snapshot: &Snapshot) {
    let open = snapshot.objects.iter::<Deployment>().filter(|deployment| !deployment.status.state.is_end());
    assert!(open.count() <= 1, "an app has two open deployments");
}

fn acknowledged(snapshot: &Snapshot, seen: &BTreeMap<Member, Seen>, now: Timestamp) -> Vec<Revision> {
    let routers = snapshot.objects.iter::<Router>();
    let alive = routers.filter(|router| {
        let is_present = seen.get(&Member::Router(router.id)).is_some_and(|seen| seen.until > now);
        is_present || matches!(router.status.liveness, Liveness::Ready | Liveness::Suspect)
    });
    let said = |router: &Member| seen.get(router).map_or(Revision::ZERO, |seen| seen.beat.acknowledged);
    alive.map(|router| said(&Member::Router(router.id))).collect()
}
