use crate::api;
use crate::noun::{
    Build, BuildState, Deployment, DeploymentState, Exit, Health, Job, JobState, Objects, Probe, ProcessType, Purpose,
    Release, ReleaseCause, ReleaseId, Stored,
};

use super::word;

pub(in crate::server::api) fn release(objects: &Objects, release: &Stored<Release>) -> api::Release {
    let spec = &release.spec;
    let (cause, description) = match &spec.cause {
        ReleaseCause::Build(build) => {
            let number = objects.get(*build).map(|build| format!("build {}", build.spec.number));
            ("build", number.unwrap_or_else(|| String::from("a build")))
        }
        ReleaseCause::Config(text) => ("config", text.clone()),
        ReleaseCause::Rollback(number) => ("rollback", format!("rollback to v{number}")),
        ReleaseCause::Image(text) => ("image", text.clone()),
    };
    let app = objects.get(spec.app);
    api::Release {
        id: release.id,
        app: spec.app,
        number: spec.number,
        current: app.is_some_and(|app| app.status.release == Some(release.id)),
        image: spec.image.to_string(),
        cause: cause.to_owned(),
        description,
        commit: spec.commit.clone(),
        processes: spec.processes.iter().map(|(name, process)| (name.to_string(), process_type(process))).collect(),
        config: spec.env.keys().map(ToString::to_string).collect(),
        created_at: release.created_at.into(),
        version: release.spec_version.get(),
    }
}

fn process_type(process: &ProcessType) -> api::ProcessType {
    let check = process.check.as_ref().map(|check| match &check.probe {
        Probe::Tcp => String::from("tcp"),
        Probe::Http { path } => format!("http {path}"),
    });
    let stop_timeout_ms = u64::try_from(process.stop_timeout.as_millis()).unwrap_or(u64::MAX);
    api::ProcessType { command: process.command.clone(), port: process.port, check, stop_timeout_ms }
}

pub(in crate::server::api) fn deployment(objects: &Objects, deployment: &Stored<Deployment>) -> api::Deployment {
    let (spec, status) = (&deployment.spec, &deployment.status);
    let number = |release: ReleaseId| objects.get(release).map(|release| release.spec.number);
    let reason = match &status.state {
        DeploymentState::Paused { reason }
        | DeploymentState::RollingBack { reason }
        | DeploymentState::Failed { reason } => Some(reason.clone()),
        DeploymentState::Pending | DeploymentState::Running | DeploymentState::Done => None,
    };
    api::Deployment {
        id: deployment.id,
        app: spec.app,
        from: spec.from.and_then(number),
        to: number(spec.to),
        strategy: word::strategy(&spec.strategy).to_owned(),
        desired: word::intent(spec.desired).to_owned(),
        state: word::deployment(&status.state).to_owned(),
        reason,
        ended: status.state.is_end(),
        step: status.step,
        weight_percent: status.weight,
        progressed_at: (status.progressed_at != crate::Timestamp::EPOCH).then_some(api::Time(status.progressed_at)),
        created_at: deployment.created_at.into(),
        version: deployment.spec_version.get(),
    }
}

pub(in crate::server::api) fn job(objects: &Objects, job: &Stored<Job>) -> api::Job {
    let (spec, status) = (&job.spec, &job.status);
    let (process, deployment) = match &spec.purpose {
        Purpose::Service { process, deployment, .. } => (Some(process.to_string()), *deployment),
        Purpose::OneOff { .. } => (None, None),
    };
    let (mut reason, mut exit_code, mut healthy, mut address) = (None, None, None, None);
    match &status.state {
        JobState::Pending { reason: why } | JobState::Lost { reason: why } => reason = Some(why.clone()),
        JobState::Up { address: at, health } => {
            healthy = Some(*health == Health::Healthy);
            address = at.map(|at| at.to_string());
        }
        JobState::Exited(exit) => {
            exit_code = Some(exit.shell_code());
            reason = Some(ending(exit));
        }
        JobState::Assigned | JobState::Starting | JobState::Stopping => {}
    }
    api::Job {
        id: job.id,
        app: spec.app,
        name: job.name(),
        process,
        release: objects.get(spec.release).map(|release| release.spec.number),
        state: word::job(&status.state).to_owned(),
        reason,
        exit_code,
        healthy,
        desired: word::desired(spec.desired).to_owned(),
        address,
        node: spec.node.and_then(|node| objects.get(node)).map(|node| node.spec.name.to_string()),
        node_id: spec.node,
        command: spec.workload.process.command.clone(),
        attempt: spec.attempt,
        deployment,
        // What was not reported on yet is where it was created.
        since: status.since.max(job.created_at).into(),
        created_at: job.created_at.into(),
        version: job.spec_version.get(),
    }
}

fn ending(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("it exited with code {code}"),
        Exit::Signal(signal) => format!("signal {signal} ended it"),
        Exit::OutOfDisk { reason } => format!("it was killed: {reason}"),
        Exit::OutOfMemory => String::from("it used more memory than it may and was killed"),
        Exit::NotStarted { reason } => format!("it was not started: {reason}"),
    }
}

pub(in crate::server::api) fn build(objects: &Objects, build: &Stored<Build>) -> api::Build {
    let (spec, status) = (&build.spec, &build.status);
    let (mut step, mut reason, mut image) = (None, None, None);
    match &status.state {
        BuildState::Pending { reason: why } | BuildState::Lost { reason: why } => reason = Some(why.clone()),
        BuildState::Failed { step: at, reason: why } => (step, reason) = (Some(at.clone()), Some(why.clone())),
        BuildState::Succeeded(output) => image = Some(output.image.to_string()),
        BuildState::Assigned | BuildState::Running | BuildState::Cancelled => {}
    }
    let release = objects.iter::<Release>().find(|release| release.spec.cause == ReleaseCause::Build(build.id));
    api::Build {
        id: build.id,
        app: spec.app,
        number: spec.number,
        commit: spec.commit.clone(),
        source: spec.source.to_string(),
        state: word::build(&status.state).to_owned(),
        ended: status.state.is_end(),
        step,
        reason,
        image,
        release: release.map(|release| release.spec.number),
        node: spec.node.and_then(|node| objects.get(node)).map(|node| node.spec.name.to_string()),
        since: status.since.max(build.created_at).into(),
        created_at: build.created_at.into(),
        version: build.spec_version.get(),
    }
}
