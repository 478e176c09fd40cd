//! Nodes for everything that waits, or the reason why it goes on waiting.

use std::collections::{BTreeMap, BTreeSet};

use flynn_core::noun::{
    App, AppLifecycle, Build, BuildIntent, BuildState, BuildStatus, Desired, Job, JobState, JobStatus, Volume,
};
use flynn_core::value::Resources;
use flynn_core::{BuildId, JobId, NodeId, Timestamp};

use super::{Ledger, Setting};
use crate::place::{ClusterView, Group, Refusal, Request};

/// The step at which a build fails that gets no node.
const PLACEMENT: &str = "placement";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    Job(JobId),
    Build(BuildId),
}

/// Places all jobs and builds that wait, those that wait longest first.
pub(super) fn nodes(ledger: &mut Ledger<'_>, setting: &Setting<'_>) {
    let mut queue = waiting(ledger, setting.now);
    queue.sort_by_key(|(waiting, since, ..)| (*since, *waiting));
    // The first instance that uses a volume decides where it is; the others follow it there.
    let homeless: BTreeSet<Group> = ledger
        .objects()
        .iter::<Volume>()
        .filter(|volume| volume.spec.node.is_none())
        .map(|volume| Group { app: volume.spec.app, process: Some(volume.spec.process.clone()) })
        .collect();
    let mut deciding: BTreeSet<Group> = BTreeSet::new();
    let (first, followers): (Vec<_>, Vec<_>) =
        queue.into_iter().partition(|(.., group, _)| !homeless.contains(group) || deciding.insert(group.clone()));
    for round in [first, followers] {
        if !round.is_empty() {
            place(ledger, setting, round, &homeless);
        }
    }
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

fn place(ledger: &mut Ledger<'_>, setting: &Setting<'_>, queue: Vec<Entry>, homeless: &BTreeSet<Group>) {
    let mut homes: BTreeMap<Group, BTreeSet<NodeId>> = BTreeMap::new();
    for volume in ledger.objects().iter::<Volume>() {
        let group = Group { app: volume.spec.app, process: Some(volume.spec.process.clone()) };
        homes.entry(group).or_default().extend(volume.spec.node);
    }
    let requests: Vec<Request> = queue
        .iter()
        .map(|(.., group, resources)| Request {
            group: group.clone(),
            resources: *resources,
            volumes: homes.get(group).cloned().unwrap_or_default(),
        })
        .collect();
    let cluster = ClusterView::of(ledger.objects());
    let answers = setting.policy.placer.place(&cluster, &requests, setting.policy.seed);
    for ((waiting, _, group, _), answer) in queue.into_iter().zip(answers) {
        match (waiting, answer) {
            (Waiting::Job(id), Ok(node)) => {
                assign_job(ledger, setting.now, id, node);
                if homeless.contains(&group) {
                    settle_volumes(ledger, &group, node);
                }
            }
            (Waiting::Job(id), Err(refusal)) => refuse_job(ledger, setting.now, id, &refusal),
            (Waiting::Build(id), Ok(node)) => assign_build(ledger, setting.now, id, node),
            (Waiting::Build(id), Err(refusal)) => refuse_build(ledger, setting, id, &refusal),
        }
    }
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
fn refuse_job(ledger: &mut Ledger<'_>, now: Timestamp, id: JobId, refusal: &Refusal) {
    let Some(job) = ledger.objects().get(id).cloned() else {
        return;
    };
    let since = if job.status.since == Timestamp::EPOCH { now } else { job.status.since };
    ledger.report(id, JobStatus { state: JobState::Pending { reason: refusal.to_string() }, since });
}

/// The same of a build, which fails when it has waited for too long: somebody waits for it.
fn refuse_build(ledger: &mut Ledger<'_>, setting: &Setting<'_>, id: BuildId, refusal: &Refusal) {
    let (now, longest) = (setting.now, setting.policy.build_wait);
    let Some(build) = ledger.objects().get(id).cloned() else {
        return;
    };
    let since = if build.status.since == Timestamp::EPOCH { now } else { build.status.since };
    if now < since + longest {
        ledger.report(id, BuildStatus { state: BuildState::Pending { reason: refusal.to_string() }, since });
        return ledger.look_again(since + longest);
    }
    let reason = format!("it could not be placed within {} s: {refusal}", longest.as_secs());
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
