//! How many instances there are to be, and the instances.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::document::{formation as formation_document, job as document};
use super::exchange::{Accepted, Json, Query, Shown};
use super::releases::open_deployment;
use super::routes::Routes;
use super::{ApiError, Call};
use crate::api::{self, FieldError, FormationChange, JobQuery, Jobs, Page, PageQuery, Restart, ScaleChange};
use crate::name::{LabelKey, ProcessName};
use crate::noun::{
    App, AppId, Deployment, Desired, Formation, Job, JobId, JobState, LabelConstraint, Objects, Placement, Purpose,
    Release, ReleaseId, Scale, Stored,
};
use crate::revision::Revision;
use crate::value::Resources;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/apps/{app}/formation",
            "getFormation",
            "How many instances of each process type there are to be.",
            formation,
        )
        .patch(
            "/v1/apps/{app}/formation",
            "scale",
            "Changes how many instances there are to be, their size, and where they may be.",
            scale,
        )
        .details(
            "A changed size is that of instances that have no node yet or are started from then on; restart the process \
             type to resize what runs. Each instance asks for at least 8 MiB of memory, 1 MiB of disk and 8 processes, and \
             for no more than the quota allows one instance or, where that says nothing, the largest node has. Without \
             processor time of its own it shares what others leave. Where instances may be counts likewise for those \
             that have no machine yet; a label that no machine has, and what no machine is, are refused.",
        )
        .get("/v1/apps/{app}/jobs", "listJobs", "The jobs of an app, the newest first.", list)
        .get("/v1/apps/{app}/jobs/{job}", "getJob", "A job, by name (`web.1`) or id.", get)
        .delete("/v1/apps/{app}/jobs/{job}", "killJob", "Ends a job: TERM, its stop time, KILL.", kill)
        .details("An instance of a process type is replaced by another; a `run` is not.")
        .post(
            "/v1/apps/{app}/restart",
            "restart",
            "Replaces instances: all, those of one process type, or one.",
            restart,
        )
        .details(
            "Each is replaced by an instance of the same release. One that serves goes on until another serves in its \
             place; then it gets no more requests and is ended once the routers know. One without a port, or that is \
             not up, is ended at once.",
        )
}

/// The releases whose process types can be scaled: the one that serves, and the one that is being deployed.
fn scaled(objects: &Objects, app: &Stored<App>) -> Vec<ReleaseId> {
    let deployed = open_deployment(objects, app.id).map(|deployment: &Arc<Stored<Deployment>>| deployment.spec.to);
    app.status.release.into_iter().chain(deployed).collect()
}

fn shown(call: &Call, app: &Stored<App>) -> Shown<api::Formation> {
    let objects = call.objects();
    let releases: Vec<&Release> =
        scaled(objects, app).into_iter().filter_map(|release| Some(&objects.get(release)?.spec)).collect();
    let document = formation_document(objects, app, &releases);
    let version = Revision::new(document.version);
    Shown::of(document, version)
}

async fn formation(call: Call, (): ()) -> Result<Shown<api::Formation>, ApiError> {
    Ok(shown(&call, &*call.app()?))
}

async fn scale(mut call: Call, Json(change): Json<FormationChange>) -> Result<Shown<api::Formation>, ApiError> {
    let app = call.app()?.id;
    call.commit(|edit| {
        let stored = edit.living(app)?;
        let old = edit.objects.iter::<Formation>().find(|formation| formation.spec.app == app);
        edit.check_version(old.map_or(Revision::ZERO, |formation| formation.spec_version))?;
        let mut processes = old.map(|formation| formation.spec.processes.clone()).unwrap_or_default();
        let known = known(edit.objects, &stored, &processes);
        apply(&mut processes, &known, &change)?;
        let next = Formation { app, processes };
        match old {
            Some(old) => edit.update(old, next),
            None => drop(edit.create(stored.team, next)),
        }
        Ok(())
    })
    .await?;
    let app = call.app()?;
    Ok(shown(&call, &app))
}

fn known(objects: &Objects, app: &Stored<App>, counted: &BTreeMap<ProcessName, Scale>) -> BTreeSet<ProcessName> {
    let releases = scaled(objects, app).into_iter().filter_map(|release| objects.get(release));
    releases.flat_map(|release| release.spec.processes.keys()).chain(counted.keys()).cloned().collect()
}

fn apply(
    processes: &mut BTreeMap<ProcessName, Scale>,
    known: &BTreeSet<ProcessName>,
    change: &FormationChange,
) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    for (name, wish) in &change.processes {
        match known.iter().find(|known| known.as_str() == name) {
            Some(known) => {
                let scale = processes.entry(known.clone()).or_insert(Scale::of(0, Scale::RESOURCES));
                resize(scale, wish);
                if let Some(wish) = &wish.placement {
                    match placement(name, wish) {
                        Ok(placement) => scale.placement = placement,
                        Err(problems) => errors.extend(problems),
                    }
                }
            }
            None => {
                let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
                let detail = match known.is_empty() {
                    true => String::from("the app has no release yet, so it has no process types: deploy first"),
                    false => {
                        let known: Vec<&str> = known.iter().map(ProcessName::as_str).collect();
                        format!("the app has no process type `{name}`: it has {}", known.join(", "))
                    }
                };
                errors.push(FieldError { field: format!("processes.{name}"), detail });
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid_fields(errors)) }
}

fn resize(scale: &mut Scale, wish: &ScaleChange) {
    let Resources { cpu_millis, memory_bytes, disk_bytes, pids } = scale.resources;
    scale.count = wish.count.unwrap_or(scale.count);
    scale.resources = Resources {
        cpu_millis: wish.cpu_millis.unwrap_or(cpu_millis),
        memory_bytes: wish.memory_bytes.unwrap_or(memory_bytes),
        disk_bytes: wish.disk_bytes.unwrap_or(disk_bytes),
        pids: wish.pids.unwrap_or(pids),
    };
}

/// The rules in a request, or each that is none.
fn placement(process: &str, wish: &api::Placement) -> Result<Placement, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, detail: String| {
        errors.push(FieldError { field: format!("processes.{process}.placement.{field}"), detail });
    };
    let mut constraints = Vec::new();
    for (index, text) in wish.constraints.iter().enumerate() {
        match text.parse::<LabelConstraint>() {
            Ok(constraint) => constraints.push(constraint),
            Err(error) => wrong(&format!("constraints.{index}"), error.to_string()),
        }
    }
    let spread = wish.spread.as_deref().map(LabelKey::new).transpose();
    let spread = spread.map_err(|error| wrong("spread", error.to_string())).ok().flatten();
    let most_per_node = wish.most_per_node;
    if errors.is_empty() { Ok(Placement { constraints, spread, most_per_node }) } else { Err(errors) }
}

async fn list(call: Call, Query(query): Query<JobQuery>) -> Result<Shown<Page<api::Job>>, ApiError> {
    let app = call.app()?.id;
    let is_asked = |job: &Stored<Job>| match (&query.process, &job.spec.purpose) {
        (None, _) => true,
        (Some(asked), Purpose::Service { process, .. }) => process.as_str() == asked,
        (Some(_), Purpose::OneOff { .. }) => false,
    };
    let matches = |job: &Stored<Job>| job.spec.app == app && is_asked(job);
    let page = PageQuery { cursor: query.cursor.clone(), limit: query.limit };
    let page = call.timeline(app, &page, query.ended, matches, |job| document(call.objects(), job)).await?;
    Ok(Shown::new(page))
}

/// The live jobs of an app that `text`, a name or an id, means.
pub(crate) fn jobs_named(objects: &Objects, app: AppId, text: &str) -> Vec<Arc<Stored<Job>>> {
    let own = objects.iter::<Job>().filter(|job| job.spec.app == app);
    let id: Option<JobId> = text.parse().ok();
    own.filter(|job| id == Some(job.id) || job.name() == text).cloned().collect()
}

/// The one live job of an app that `text` means.
pub(crate) fn job_named(objects: &Objects, app: AppId, text: &str) -> Result<Arc<Stored<Job>>, ApiError> {
    let mut found = jobs_named(objects, app, text);
    // One that is on its way out is meant only if there is no other.
    if found.iter().any(|job| job.spec.desired == Desired::Up && !job.status.state.is_end()) {
        found.retain(|job| job.spec.desired == Desired::Up && !job.status.state.is_end());
    }
    match found.as_slice() {
        [] => Err(ApiError::not_found("job", text)),
        [only] => Ok(only.clone()),
        several => {
            let ids: Vec<String> = several.iter().map(|job| job.id.to_string()).collect();
            Err(ApiError::conflict(format!("`{text}` is the name of several jobs: say which, {}", ids.join(" or "))))
        }
    }
}

async fn get(call: Call, (): ()) -> Result<Shown<api::Job>, ApiError> {
    let app = call.app()?.id;
    let text = call.param("job");
    let found = match (job_named(call.objects(), app, text), text.parse::<JobId>()) {
        (Err(missing), Ok(id)) => call.archived::<Job>(app, |job| job.id == id).await?.ok_or(missing)?,
        (found, _) => found?,
    };
    Ok(Shown::of(document(call.objects(), &found), found.spec_version))
}

async fn kill(mut call: Call, (): ()) -> Result<Accepted<api::Job>, ApiError> {
    let app = call.app()?.id;
    let id = job_named(call.objects(), app, call.param("job"))?.id;
    let old = call.objects().get(id).cloned();
    call.commit(|edit| {
        let stored = edit.meant(id)?;
        if stored.status.state.is_end() {
            return Err(ApiError::conflict(format!("{} has ended", stored.name())));
        }
        edit.update(&stored, Job { desired: Desired::Down, ..stored.spec.clone() });
        Ok(())
    })
    .await?;
    // It may be gone by the time of the answer.
    let job = call.objects().get(id).cloned().or(old);
    let job = job.ok_or_else(|| ApiError::not_found("job", &id.to_string()))?;
    Ok(Accepted::of(document(call.objects(), &job), job.spec_version))
}

async fn restart(mut call: Call, Json(wish): Json<Restart>) -> Result<Accepted<Jobs>, ApiError> {
    let app = call.app()?.id;
    let target = wish.target.as_deref();
    let committed = call
        .commit(|edit| {
            edit.living(app)?;
            let meant = meant(edit.objects, app, target)?;
            for job in meant {
                let serves =
                    job.spec.workload.process.port.is_some() && matches!(job.status.state, JobState::Up { .. });
                let desired = if serves { Desired::Replace } else { Desired::Drain };
                edit.update(&job, Job { desired, ..job.spec.clone() });
            }
            Ok(())
        })
        .await?;
    let ids = committed.objects.iter().filter(|id| id.kind() == crate::noun::Kind::Job);
    let jobs = ids.filter_map(|id| call.objects().get(JobId::from_uuid(id.uuid())));
    Ok(Accepted::new(Jobs { jobs: jobs.map(|job| document(call.objects(), job)).collect() }))
}

/// The running instances that `target` means: all, those of a process type, or one.
fn meant(objects: &Objects, app: AppId, target: Option<&str>) -> Result<Vec<Arc<Stored<Job>>>, ApiError> {
    let is_meant = |job: &Stored<Job>| match (&job.spec.purpose, target) {
        (Purpose::OneOff { .. }, _) => false,
        (Purpose::Service { .. }, None) => true,
        (Purpose::Service { process, .. }, Some(target)) => process.as_str() == target || job.name() == target,
    };
    let own = objects.iter::<Job>().filter(|job| job.spec.app == app && is_meant(job));
    let running = own.filter(|job| job.spec.desired == Desired::Up && !job.status.state.is_end());
    let running: Vec<_> = running.cloned().collect();
    match (running.is_empty(), target) {
        (true, Some(target)) => Err(ApiError::not_found("running instance", target)),
        _ => Ok(running),
    }
}
