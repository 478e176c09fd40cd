//! Nodes for everything that waits, or the reason why it goes on waiting.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flynn_core::noun::{
    App, AppLifecycle, Build, BuildIntent, BuildState, BuildStatus, Desired, Formation, Job, JobState, JobStatus,
    Placement, Volume,
};
use flynn_core::value::Resources;
use flynn_core::{AppId, BuildId, JobId, NodeId, Timestamp};

use super::{Ledger, Setting};
use crate::placement::{Cluster, Constraint, Demand, Group, Planner, Request, Spread, seat_of_build};

/// The step at which a build fails that gets no node.
const PLACEMENT: &str = "placement";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    Job(JobId),
    Build(BuildId),
}

impl Waiting {
    /// The id under which it is on a node.
    fn seat(self) -> JobId {
        match self {
            Self::Job(id) => id,
            Self::Build(id) => seat_of_build(id),
        }
    }
}

/// Places all jobs and builds that wait, those that wait longest first.
pub(super) fn nodes(ledger: &mut Ledger<'_>, setting: &Setting<'_>) {
    let mut queue = waiting(ledger, setting.now);
    if queue.is_empty() {
        return;
    }
    queue.sort_by_key(|(waiting, since, ..)| (*since, *waiting));
    let cluster = Cluster::of(ledger.objects(), setting.policy.seed);
    let mut planner = Planner::new(cluster, setting.policy.placement.clone());
    let mut homes = Homes::of(ledger);
    let mut refused = Vec::new();
    for (waiting, _, group, resources) in queue {
        let request = request(ledger, &homes, group, resources);
        if !place(ledger, setting, &mut planner, &mut homes, waiting, &request) {
            refused.push((waiting, request));
        }
    }
    #[allow(clippy::mutable_key_type, reason = "an expression is known by its text")]
    let mut told: HashMap<Request, String> = HashMap::new();
    for (waiting, mut request) in refused {
        // What was placed after it can have made room for it: where it has to be beside others, or even with them.
        request.volumes = homes.of_group(&request.group);
        if place(ledger, setting, &mut planner, &mut homes, waiting, &request) {
            continue;
        }
        let reason = told.entry(alike(&request)).or_insert_with(|| planner.explain(&request).to_string());
        match waiting {
            Waiting::Job(id) => refuse_job(ledger, setting.now, id, reason),
            Waiting::Build(id) => refuse_build(ledger, setting, id, reason),
        }
    }
}

/// Where the volumes of a process type are.
struct Homes {
    nodes: BTreeMap<Group, BTreeSet<NodeId>>,
    /// Those that have a volume without a node. The first instance that uses it decides where it is.
    homeless: BTreeSet<Group>,
}

impl Homes {
    fn of(ledger: &Ledger<'_>) -> Self {
        let mut homes = Self { nodes: BTreeMap::new(), homeless: BTreeSet::new() };
        for volume in ledger.objects().iter::<Volume>() {
            let group = Group { app: volume.spec.app, process: Some(volume.spec.process.clone()) };
            match volume.spec.node {
                Some(node) => drop(homes.nodes.entry(group).or_default().insert(node)),
                None => drop(homes.homeless.insert(group)),
            }
        }
        homes
    }

    fn of_group(&self, group: &Group) -> BTreeSet<NodeId> {
        self.nodes.get(group).cloned().unwrap_or_default()
    }
}

/// What waits for a node asks for what its formation says at present, wherever it was when it was made.
fn request(ledger: &mut Ledger<'_>, homes: &Homes, group: Group, resources: Resources) -> Request {
    let volumes = homes.of_group(&group);
    let mut request = Request { volumes, ..Request::new(group, Demand { resources, ..Demand::default() }) };
    let app = request.group.app;
    let formation = request.group.process.as_ref().and(ledger.formation(app)).cloned();
    let scale = formation.as_ref().zip(request.group.process.as_ref());
    let scale = scale.and_then(|(formation, process)| formation.spec.processes.get(process));
    if let (Some(formation), Some(scale)) = (&formation, scale.filter(|scale| !scale.placement.is_any())) {
        let Placement { constraints, spread, most_per_node } = scale.placement.clone();
        request.demand.constraints = constraints.into_iter().map(Constraint::from).collect();
        request.spread = spread.map(|label| Spread { label, max_skew: None });
        request.most_per_node = most_per_node;
        ledger.rest_on::<Formation>(app, formation.id);
    }
    request
}

/// What two requests that are refused alike have in common: who asks counts only where it is asked about.
fn alike(request: &Request) -> Request {
    let mut alike = request.clone();
    if request.affinities.is_empty() && request.spread.is_none() && request.most_per_node.is_none() {
        alike.group = Group { app: AppId::NIL, process: None };
    }
    alike
}

/// Puts one on the best node, and says whether there is any.
fn place(
    ledger: &mut Ledger<'_>,
    setting: &Setting<'_>,
    planner: &mut Planner,
    homes: &mut Homes,
    waiting: Waiting,
    request: &Request,
) -> bool {
    let Some(choice) = planner.place(waiting.seat(), request) else {
        return false;
    };
    let node = planner.cluster().site(choice.slot).host().id;
    match waiting {
        Waiting::Job(id) => {
            assign_job(ledger, setting.now, id, node);
            if homes.homeless.remove(&request.group) {
                settle_volumes(ledger, &request.group, node);
                homes.nodes.entry(request.group.clone()).or_default().insert(node);
            }
        }
        Waiting::Build(id) => assign_build(ledger, setting.now, id, node),
    }
    true
}

type Entry = (Waiting, Timestamp, Group, Resources);

fn waiting(ledger: &mut Ledger<'_>, now: Timestamp) -> Vec<Entry> {
    let mut queue: Vec<Entry> = Vec::new();
    let mut later = Vec::new();
    for job in ledger.objects().iter::<Job>() {
        if !matches!(job.status.state, JobState::Pending { .. }) || job.spec.desired != Desired::Up {
            continue;
        }
        if job.spec.not_before > now {
            later.push(job.spec.not_before);
            continue;
        }
        queue.push((Waiting::Job(job.id), job.created_at, Group::of_job(&job.spec), job.spec.resources));
    }
    let mut cancelled = Vec::new();
    for build in ledger.objects().iter::<Build>() {
        if !matches!(build.status.state, BuildState::Pending { .. }) {
            continue;
        }
        if build.spec.desired == BuildIntent::Cancel {
            cancelled.push(build.id);
            continue;
        }
        let is_active = |app: &App| app.lifecycle == AppLifecycle::Active;
        if ledger.objects().get(build.spec.app).is_some_and(|app| is_active(&app.spec)) {
            queue.push((
                Waiting::Build(build.id),
                build.created_at,
                Group::of_build(&build.spec),
                build.spec.resources,
            ));
        }
    }
    later.into_iter().for_each(|at| ledger.look_again(at));
    for build in cancelled {
        ledger.report(build, BuildStatus { state: BuildState::Cancelled, since: now });
    }
    queue
}

fn assign_job(ledger: &mut Ledger<'_>, now: Timestamp, id: JobId, node: NodeId) {
    let Some(job) = ledger.objects().get(id).cloned() else {
        return;
    };
    ledger.update(id, Job { node: Some(node), ..job.spec.clone() });
    ledger.report(id, JobStatus { state: JobState::Assigned, since: now });
}

fn assign_build(ledger: &mut Ledger<'_>, now: Timestamp, id: BuildId, node: NodeId) {
    let Some(build) = ledger.objects().get(id).cloned() else {
        return;
    };
    ledger.update(id, Build { node: Some(node), ..build.spec.clone() });
    ledger.report(id, BuildStatus { state: BuildState::Assigned, since: now });
}

/// Says why a job waits. It waits since the first time it was considered.
fn refuse_job(ledger: &mut Ledger<'_>, now: Timestamp, id: JobId, reason: &str) {
    let Some(job) = ledger.objects().get(id).cloned() else {
        return;
    };
    let since = if job.status.since == Timestamp::EPOCH { now } else { job.status.since };
    ledger.report(id, JobStatus { state: JobState::Pending { reason: reason.to_owned() }, since });
}

/// The same of a build, which fails when it has waited for too long: somebody waits for it.
fn refuse_build(ledger: &mut Ledger<'_>, setting: &Setting<'_>, id: BuildId, reason: &str) {
    let (now, longest) = (setting.now, setting.policy.build_wait);
    let Some(build) = ledger.objects().get(id).cloned() else {
        return;
    };
    let since = if build.status.since == Timestamp::EPOCH { now } else { build.status.since };
    if now < since + longest {
        ledger.report(id, BuildStatus { state: BuildState::Pending { reason: reason.to_owned() }, since });
        return ledger.look_again(since + longest);
    }
    let reason = format!("it could not be placed within {} s: {reason}", longest.as_secs());
    ledger.report(id, BuildStatus { state: BuildState::Failed { step: PLACEMENT.to_owned(), reason }, since: now });
}

fn settle_volumes(ledger: &mut Ledger<'_>, group: &Group, node: NodeId) {
    let is_of = |volume: &Volume| volume.app == group.app && Some(&volume.process) == group.process.as_ref();
    let volumes = ledger.objects().iter::<Volume>().filter(|volume| volume.spec.node.is_none() && is_of(&volume.spec));
    let volumes: Vec<_> = volumes.map(|volume| (volume.id, volume.spec.clone())).collect();
    for (id, volume) in volumes {
        ledger.update(id, Volume { node: Some(node), ..volume });
    }
}
