use crate::api;
use crate::name::HostPattern;
use crate::noun::{
    Affinity, App, Entry, Formation, Job, JobState, Objects, Placement, PlainHttp, ProxyProtocol, Purpose, Release,
    Route, Scale, Stored, Traffic,
};
use crate::value::Resources;

use super::word;
use crate::server::api::{Edge, deploys};

pub(in crate::server::api) fn app(objects: &Objects, app: &Stored<App>, edge: Option<&Edge>) -> api::App {
    let release = app.status.release.and_then(|release| objects.get(release));
    api::App {
        id: app.id,
        name: app.spec.name.to_string(),
        team: objects.get(app.team).map(|team| team.spec.name.to_string()).unwrap_or_default(),
        team_id: app.team,
        state: word::lifecycle(app.spec.lifecycle).to_owned(),
        maintenance: app.spec.traffic == Traffic::Maintenance,
        release: release.map(|release| release.spec.number),
        hosts: hosts(objects, app).into_iter().map(|host| host.to_string()).collect(),
        url: edge.and_then(|edge| edge.url(app.id, objects)),
        deploys: app.spec.deploys.as_ref().map(deploys::document),
        created_at: app.created_at.into(),
        version: app.spec_version.get(),
    }
}

/// The hosts of an app, in the order in which they were added.
pub(in crate::server::api) fn hosts(objects: &Objects, app: &Stored<App>) -> Vec<HostPattern> {
    let mut routes: Vec<_> = objects.iter::<Route>().filter(|route| route.spec.app == app.id).collect();
    routes.sort_by_key(|route| (route.created_at, route.id));
    let mut hosts = Vec::new();
    for route in routes {
        if let Entry::Http { host, .. } = &route.spec.entry
            && !hosts.contains(host)
        {
            hosts.push(host.clone());
        }
    }
    hosts
}

pub(in crate::server::api) fn route(route: &Stored<Route>) -> api::Route {
    let document = api::Route {
        id: route.id,
        app: route.spec.app,
        process: route.spec.process.to_string(),
        kind: String::from("http"),
        host: None,
        path: None,
        sticky: false,
        redirect_https: false,
        port: None,
        proxy_protocol: None,
        created_at: route.created_at.into(),
        version: route.spec_version.get(),
    };
    match &route.spec.entry {
        Entry::Http { host, path, affinity, plain } => api::Route {
            host: Some(host.to_string()),
            path: Some(path.to_string()),
            sticky: *affinity == Affinity::Sticky,
            redirect_https: *plain == PlainHttp::Redirect,
            ..document
        },
        Entry::Tcp { port, proxy_protocol } => api::Route {
            kind: String::from("tcp"),
            port: Some(*port),
            proxy_protocol: match proxy_protocol {
                ProxyProtocol::None => None,
                ProxyProtocol::V1 => Some(String::from("v1")),
                ProxyProtocol::V2 => Some(String::from("v2")),
            },
            ..document
        },
    }
}

/// What an app wants of each process type it has or counts.
pub(in crate::server::api) fn formation(objects: &Objects, app: &Stored<App>, releases: &[&Release]) -> api::Formation {
    let formation = objects.iter::<Formation>().find(|formation| formation.spec.app == app.id);
    let types = releases.iter().flat_map(|release| release.processes.keys());
    let counted = formation.iter().flat_map(|formation| formation.spec.processes.keys());
    let processes = types.chain(counted).map(|name| {
        let scale = formation.and_then(|formation| formation.spec.processes.get(name)).cloned();
        let scale = scale.unwrap_or(Scale::of(0, Scale::RESOURCES));
        let is_up = |job: &&std::sync::Arc<Stored<Job>>| {
            let is_own = matches!(&job.spec.purpose, Purpose::Service { process, .. } if process == name);
            job.spec.app == app.id && is_own && matches!(job.status.state, JobState::Up { .. })
        };
        let up = u32::try_from(objects.iter::<Job>().filter(is_up).count()).unwrap_or(u32::MAX);
        let Resources { cpu_millis, memory_bytes, disk_bytes, pids } = scale.resources;
        let placement = placement(&scale.placement);
        let count = scale.count;
        (name.to_string(), api::ProcessScale { count, up, cpu_millis, memory_bytes, disk_bytes, pids, placement })
    });
    api::Formation {
        app: app.id,
        processes: processes.collect(),
        version: formation.map_or(0, |formation| formation.spec_version.get()),
    }
}

fn placement(placement: &Placement) -> api::Placement {
    api::Placement {
        constraints: placement.constraints.iter().map(ToString::to_string).collect(),
        spread: placement.spread.as_ref().map(ToString::to_string),
        most_per_node: placement.most_per_node,
    }
}
