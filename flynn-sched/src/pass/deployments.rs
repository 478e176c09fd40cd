//! Deployments go on: the steps of their strategy, pauses, and the way back after a failure.

use std::collections::BTreeMap;
use std::sync::Arc;

use flynn_core::name::ProcessName;
use flynn_core::noun::{
    App, AppStatus, DeployIntent, Deployment, DeploymentId, DeploymentState, DeploymentStatus, Formation, FormationId,
    OnFailure, Release, Scale, Stored,
};
use flynn_core::rule::{Usage, quota_of, within_quota};
use flynn_core::{AppId, Ids, Timestamp};

use super::policy::DEFAULT_RESOURCES;
use super::prepare::{self, Preparation};
use super::{Ledger, Setting, converge, replace, stop};
use crate::deploy::{DeployStrategy, GoBack, Rollout, Side, Step, strategy_of};

/// Why a deployment is paused that a person paused. One that paused itself names its failure instead.
const HELD: &str = "held: let it proceed to go on";

/// Steps that are taken in one pass before the next pass goes on. More can only come from a strategy that
/// does not come to rest.
const MOST_STEPS: usize = 1_000;

type Open = Arc<Stored<Deployment>>;

/// Takes the open deployment of `app` as far as it goes at present.
pub(super) fn advance(ledger: &mut Ledger<'_>, setting: &Setting<'_>, ids: &mut Ids, app: AppId) {
    let Some(open) = ledger.open_deployment(app).cloned() else {
        return;
    };
    let Some(strategy) = strategy_of(&open.spec.strategy) else {
        return;
    };
    let id = open.id;
    ledger.rest_on::<App>(app, app);
    ledger.rest_on::<Deployment>(app, id);
    if let Err(reason) = ensure_formation(ledger, setting.now, ids, &open) {
        return enter(ledger, setting.now, id, DeploymentState::Failed { reason });
    }
    if let Some(formation) = ledger.formation(app).map(|formation| formation.id) {
        ledger.rest_on::<Formation>(app, formation);
    }
    if let Some(state) = intended(&open) {
        enter(ledger, setting.now, id, state);
    }
    let state = |ledger: &Ledger<'_>| ledger.objects().get(id).map(|open| open.status.state.clone());
    if state(ledger) == Some(DeploymentState::Running) {
        let open = ledger.objects().get(id).cloned().unwrap_or(open);
        match prepare::go_on(ledger, setting, &open) {
            Preparation::Done => drive(ledger, setting, ids, id, Direction::Forward(strategy)),
            Preparation::Waits => {}
            Preparation::Failed(reason) => {
                finish(ledger, setting.now, &open, Direction::Forward(strategy), Some(reason))
            }
        }
    }
    if let Some(DeploymentState::RollingBack { reason }) = state(ledger) {
        prepare::stop(ledger, setting, id);
        drive(ledger, setting, ids, id, Direction::Back { reason });
    }
}

/// The state that follows from what is intended, if it is another.
fn intended(open: &Stored<Deployment>) -> Option<DeploymentState> {
    match (&open.status.state, open.spec.desired) {
        (DeploymentState::RollingBack { .. }, _) => None,
        (_, DeployIntent::Abort) => Some(DeploymentState::RollingBack { reason: "it was aborted".to_owned() }),
        (DeploymentState::Paused { .. }, DeployIntent::Pause) => None,
        (_, DeployIntent::Pause) => Some(DeploymentState::Paused { reason: HELD.to_owned() }),
        (DeploymentState::Pending | DeploymentState::Paused { .. }, DeployIntent::Proceed) => {
            Some(DeploymentState::Running)
        }
        (_, DeployIntent::Proceed) => None,
    }
}

/// Puts a deployment into another state and begins its deadline anew.
fn enter(ledger: &mut Ledger<'_>, now: Timestamp, id: DeploymentId, state: DeploymentState) {
    let Some(open) = ledger.objects().get(id).cloned() else {
        return;
    };
    let step = if matches!(state, DeploymentState::RollingBack { .. }) { 0 } else { open.status.step };
    ledger.report(id, DeploymentStatus { state, step, progressed_at: now, ..open.status.clone() });
}

enum Direction {
    Forward(Box<dyn DeployStrategy>),
    Back { reason: String },
}

fn drive(ledger: &mut Ledger<'_>, setting: &Setting<'_>, ids: &mut Ids, id: DeploymentId, direction: Direction) {
    for _ in 0..MOST_STEPS {
        let Some(open) = ledger.objects().get(id).cloned() else {
            return;
        };
        let (target, other) = match direction {
            Direction::Forward(_) => (Some(open.spec.to), open.spec.from),
            Direction::Back { .. } => (open.spec.from, Some(open.spec.to)),
        };
        let release = target.and_then(|target| ledger.objects().get(target)).cloned();
        let rollout = read(ledger, setting, &open, release.as_deref(), &direction);
        let step = match &direction {
            Direction::Forward(strategy) => strategy.step(&rollout, setting.now),
            Direction::Back { .. } => GoBack.step(&rollout, setting.now),
        };
        match step {
            Step::Start { process, count } => {
                if let Some(release) = &release {
                    replace::start(ledger, setting.now, ids, release, &process, Some(id), count);
                }
            }
            Step::Stop { side, process, count } => {
                let release = if side == Side::New { target } else { other };
                let jobs = ledger.jobs(open.spec.app);
                let meant =
                    converge::instances(&jobs, |job, name| Some(job.spec.release) == release && *name == process);
                for victim in converge::victims(meant, count) {
                    stop::begin(ledger, setting, victim);
                }
            }
            Step::Shift(share) => {
                let share = share.min(100);
                let weight = if matches!(direction, Direction::Back { .. }) { 100 - share } else { share };
                let Some(open) = ledger.objects().get(id).cloned() else {
                    return;
                };
                ledger.report(id, DeploymentStatus { weight, ..open.status.clone() });
            }
            Step::WaitUntil(until) => return ledger.look_again(until),
            Step::Done => return finish(ledger, setting.now, &open, direction, None),
            Step::Abort(cause) => return finish(ledger, setting.now, &open, direction, Some(cause.to_string())),
        }
    }
    ledger.look_again(setting.now);
}

/// The rollout as it stands. More healthy instances than ever before are progress.
fn read(
    ledger: &mut Ledger<'_>,
    setting: &Setting<'_>,
    open: &Open,
    release: Option<&Stored<Release>>,
    direction: &Direction,
) -> Rollout {
    let jobs = ledger.jobs(open.spec.app);
    let jobs = jobs.iter().map(|job| &**job);
    let formation = ledger.formation(open.spec.app).map(|formation| formation.spec.clone());
    let (release, failed_starts) = (release.map(|release| &release.spec), setting.policy.failed_starts);
    let mut rollout = match (direction, release) {
        (Direction::Forward(_), Some(release)) => {
            Rollout::forward(open, release, formation.as_ref(), jobs, failed_starts, setting.now)
        }
        _ => Rollout::backward(open, release, formation.as_ref(), jobs, failed_starts),
    };
    let healthy = rollout.healthy();
    if healthy > open.status.step {
        rollout.progressed_at = setting.now;
        let status = DeploymentStatus { step: healthy, progressed_at: setting.now, ..open.status.clone() };
        ledger.report(open.id, status);
    }
    rollout
}

fn finish(ledger: &mut Ledger<'_>, now: Timestamp, open: &Open, direction: Direction, problem: Option<String>) {
    let state = match (direction, problem) {
        (Direction::Forward(_), None) => {
            ledger.report(open.spec.app, AppStatus { release: Some(open.spec.to) });
            DeploymentState::Done
        }
        (Direction::Forward(_), Some(reason)) => match open.spec.policy.on_failure {
            OnFailure::RollBack => DeploymentState::RollingBack { reason },
            OnFailure::Pause => {
                // Whoever lets it proceed says so against this.
                ledger.update(open.id, Deployment { desired: DeployIntent::Pause, ..open.spec.clone() });
                DeploymentState::Paused { reason }
            }
            OnFailure::Keep => DeploymentState::Failed { reason },
        },
        (Direction::Back { reason }, None) => DeploymentState::Failed { reason },
        (Direction::Back { reason }, Some(problem)) => {
            DeploymentState::Failed { reason: format!("{reason}; on the way back: {problem}") }
        }
    };
    enter(ledger, now, open.id, state);
}

/// Gives an app that has no formation its first: one `web`, if there is such a process type, and none of
/// the others.
///
/// # Errors
/// The quota of the team does not allow it.
fn ensure_formation(ledger: &mut Ledger<'_>, now: Timestamp, ids: &mut Ids, open: &Open) -> Result<(), String> {
    let (app, team) = (open.spec.app, open.team);
    let Some(release) = ledger.objects().get(open.spec.to).cloned() else {
        return Ok(());
    };
    if ledger.formation(app).is_some() {
        return Ok(());
    }
    let scale = |name: &ProcessName| Scale::of(u32::from(name.as_str() == "web"), DEFAULT_RESOURCES);
    let processes: BTreeMap<ProcessName, Scale> =
        release.spec.processes.keys().map(|name| (name.clone(), scale(name))).collect();
    let before = Usage::of(team, ledger.objects());
    let id: FormationId = ids.next(now);
    ledger.create(id, team, Formation { app, processes });
    let after = Usage::of(team, ledger.objects());
    within_quota(&quota_of(team, ledger.objects()), &before, &after).map_err(|over| {
        ledger.remove(id);
        format!("its first instance would be too much: {over}")
    })
}
