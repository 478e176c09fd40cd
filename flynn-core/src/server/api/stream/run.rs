//! One-off jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::{self, NewRun};
use crate::name::{AppName, EnvKey};
use crate::noun::{
    App, AppId, Desired, Job, Objects, OneOffInput, ProcessType, Purpose, Release, Scale, Stored, Terminal, Workload,
};
use crate::port::SealedFor;
use crate::server::api::document::job as document;
use crate::server::api::exchange::{Created, Json};
use crate::server::api::{ApiError, Call};
use crate::time::Timestamp;
use crate::value::{Env, Resources};

pub(super) async fn run(mut call: Call, Json(wish): Json<NewRun>) -> Result<Created<api::Job>, ApiError> {
    let app = call.app()?.id;
    if wish.command.first().is_none_or(String::is_empty) {
        return Err(ApiError::invalid("command", "say which program to run"));
    }
    let sealed = seal(&call, app, &wish.env)?;
    let committed = call
        .commit(|edit| {
            let stored = edit.living(app)?;
            let release = meant(edit.objects, &stored, wish.release)?;
            edit.create(stored.team, job(&stored.spec.name, &release, &wish, sealed.clone()));
            Ok(())
        })
        .await?;
    let job = call.made::<Job>(&committed)?;
    Ok(Created::of(document(call.objects(), &job), job.spec_version))
}

fn seal(call: &Call, app: AppId, env: &BTreeMap<String, String>) -> Result<Env, ApiError> {
    let sealed = env.iter().map(|(name, value)| {
        let key = EnvKey::new(name).map_err(|error| ApiError::invalid("env", error))?;
        Ok((key, call.api.state.key_ring.seal(SealedFor::Env(app), value.as_bytes())?))
    });
    sealed.collect()
}

fn meant(objects: &Objects, app: &Stored<App>, number: Option<u64>) -> Result<Arc<Stored<Release>>, ApiError> {
    match number {
        Some(number) => {
            let mut own = objects.iter::<Release>().filter(|release| release.spec.app == app.id);
            let found = own.find(|release| release.spec.number == number).cloned();
            found.ok_or_else(|| ApiError::not_found("release", &format!("v{number}")))
        }
        None => {
            app.status.release.and_then(|release| objects.get(release)).cloned().ok_or_else(|| {
                ApiError::conflict(format!("app `{}` has no release yet: deploy it first", app.spec.name))
            })
        }
    }
}

fn job(app: &AppName, release: &Stored<Release>, wish: &NewRun, sealed: Env) -> Job {
    let mut env = release.spec.env.clone();
    env.extend(sealed);
    let usual = Scale::RESOURCES;
    let resources = Resources {
        cpu_millis: wish.cpu_millis.unwrap_or(usual.cpu_millis),
        memory_bytes: wish.memory_bytes.unwrap_or(usual.memory_bytes),
        disk_bytes: wish.disk_bytes.unwrap_or(usual.disk_bytes),
        pids: wish.pids.unwrap_or(usual.pids),
    };
    let terminal = if wish.terminal { Terminal::Pty } else { Terminal::None };
    let input = if wish.detach { OneOffInput::Closed } else { OneOffInput::Attached };
    let process = ProcessType::new(wish.command.clone());
    Job {
        app: release.spec.app,
        release: release.id,
        purpose: Purpose::OneOff { terminal, input },
        workload: Arc::new(Workload {
            app: app.clone(),
            release: release.spec.number,
            image: release.spec.image,
            process,
            env,
        }),
        resources,
        attempt: 0,
        not_before: Timestamp::EPOCH,
        node: None,
        desired: Desired::Up,
    }
}
