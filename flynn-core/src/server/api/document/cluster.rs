use std::sync::Arc;

use super::word;
use crate::api::{self, Amounts};
use crate::noun::{Build, Job, Node, NodeId, Objects, Quota, Stored, Team, TeamId};
use crate::port::{Member, Seen};
use crate::rule::{Usage, quota_of};
use crate::value::Resources;

fn amounts(resources: Resources) -> Amounts {
    let Resources { cpu_millis, memory_bytes, disk_bytes, pids } = resources;
    Amounts { cpu_millis, memory_bytes, disk_bytes, pids }
}

pub(in crate::server::api) fn node(objects: &Objects, node: &Stored<Node>, seen: &[Seen]) -> api::Node {
    let on = |place: Option<NodeId>| place == Some(node.id);
    let jobs: Vec<_> = objects.iter::<Job>().filter(|job| on(job.spec.node) && !job.status.state.is_end()).collect();
    let builds = objects.iter::<Build>().filter(|build| on(build.spec.node) && !build.status.state.is_end());
    let asked = jobs.iter().map(|job| job.spec.resources).chain(builds.map(|build| build.spec.resources));
    let beat = seen.iter().find(|seen| seen.member == Member::Node(node.id));
    api::Node {
        id: node.id,
        name: node.spec.name.to_string(),
        liveness: word::liveness(node.status.liveness).to_owned(),
        seen_at: beat.map(|seen| seen.at.into()),
        scheduling: word::scheduling(node.spec.scheduling).to_owned(),
        labels: node.spec.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        address: node.status.address.map(|address| address.to_string()),
        agent_version: node.status.version.clone(),
        jobs: u32::try_from(jobs.len()).unwrap_or(u32::MAX),
        capacity: amounts(node.status.capacity),
        reserved: amounts(node.spec.reserved),
        used: amounts(asked.fold(Resources::ZERO, Resources::plus)),
        created_at: node.created_at.into(),
        version: node.spec_version.get(),
    }
}

pub(in crate::server::api) fn quota(objects: &Objects, team: &Stored<Team>) -> api::Quota {
    let quota = quota_for(objects, team.id);
    let used = Usage::of(team.id, objects);
    api::Quota {
        team: team.id,
        name: team.spec.name.to_string(),
        limits: quota.map(|quota| limits(&quota.spec)).unwrap_or_default(),
        effective: limits(&quota_of(team.id, objects)),
        used: api::Used {
            apps: used.apps,
            routes: used.routes,
            instances: used.instances,
            cpu_millis: used.resources.cpu_millis,
            memory_bytes: used.resources.memory_bytes,
            volume_bytes: used.volume_bytes,
        },
        version: quota.map_or(0, |quota| quota.spec_version.get()),
    }
}

pub(in crate::server::api) fn default_quota(objects: &Objects) -> api::DefaultQuota {
    let quota = quota_for(objects, TeamId::SYSTEM);
    api::DefaultQuota {
        limits: quota.map(|quota| limits(&quota.spec)).unwrap_or_default(),
        version: quota.map_or(0, |quota| quota.spec_version.get()),
    }
}

/// The quota that was set for this team; for the system team that for every team.
pub(in crate::server::api) fn quota_for(objects: &Objects, team: TeamId) -> Option<&Arc<Stored<Quota>>> {
    objects.iter::<Quota>().find(|quota| quota.spec.team == team)
}

fn limits(quota: &Quota) -> api::Limits {
    api::Limits {
        apps: quota.apps,
        routes: quota.routes,
        instances: quota.instances,
        cpu_millis: quota.cpu_millis,
        memory_bytes: quota.memory_bytes,
        volume_bytes: quota.volume_bytes,
        instance_cpu_millis: quota.instance_cpu_millis,
        instance_memory_bytes: quota.instance_memory_bytes,
        instance_disk_bytes: quota.instance_disk_bytes,
        instance_pids: quota.instance_pids,
    }
}
