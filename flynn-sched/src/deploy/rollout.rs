use std::collections::BTreeMap;

use flynn_core::name::ProcessName;
use flynn_core::noun::{
    DeployPolicy, Deployment, Desired, Exit, Formation, Health, Job, JobState, Purpose, Release, ReleaseId, Stored,
};
use flynn_core::{JobId, Timestamp};

use super::{Cause, Side};

/// A deployment as a strategy sees it: a plain value, derived from the store each time it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// The process types of either release.
    pub processes: BTreeMap<ProcessName, Pair>,
    /// The deadlines.
    pub policy: DeployPolicy,
    /// The share of requests meant for the release that is to serve, in percent.
    pub weight: u8,
    /// When more instances were healthy than ever before in this rollout, for the last time.
    pub progressed_at: Timestamp,
    /// How many failed starts in a row of one instance end the rollout.
    pub failed_starts: u32,
}

/// The instances of one process type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pair {
    /// How many instances the release that is to serve has at the end; none if it lacks the process type.
    pub wanted: u32,
    /// Those of the release that is to serve. One that ended stays until it was replaced or stopped.
    pub new: Vec<Instance>,
    /// Those of the release that serves so far.
    pub old: Vec<Instance>,
}

/// An instance that is meant to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its job.
    pub job: JobId,
    /// Its number.
    pub number: u32,
    /// How many starts in a row failed before it.
    pub attempt: u32,
    /// When it entered the state that it is in.
    pub since: Timestamp,
    /// What is with it.
    pub condition: Condition,
}

/// What is with an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It has no node.
    Waiting {
        /// Why not.
        reason: String,
        /// Since when it could have been placed, had there been room.
        since: Timestamp,
    },
    /// It has a node and is not up. Placement and preparation each begin a count of their own.
    Starting(Timestamp),
    /// It is up and well since then, and does not count as healthy before it was so for longer.
    Settling(Timestamp),
    /// It is up and well.
    Healthy,
    /// It is up and fails its check, or it is on its way out.
    Unhealthy,
    /// It ended and is about to be replaced.
    Ended(Exit),
    /// Its node is gone and it is about to be replaced.
    Lost,
}

impl Rollout {
    /// The way to `deployment.to`.
    ///
    /// `release` is that release, `jobs` are all of the app at `now`; `failed_starts` as in [`Rollout::failed_starts`].
    pub fn forward<'a>(
        deployment: &Stored<Deployment>,
        release: &Release,
        formation: Option<&Formation>,
        jobs: impl IntoIterator<Item = &'a Stored<Job>>,
        failed_starts: u32,
        now: Timestamp,
    ) -> Self {
        let Deployment { from, to, .. } = deployment.spec;
        let weight = deployment.status.weight;
        let mut rollout =
            Self::between(deployment, (from, Some(to)), Some(release), formation, jobs, (weight, failed_starts));
        rollout.settle(now);
        rollout
    }

    /// What has not been healthy for long enough is not yet. On the way back there is no time for that.
    fn settle(&mut self, now: Timestamp) {
        let healthy_for = self.policy.healthy_for;
        for instance in self.processes.values_mut().flat_map(|pair| &mut pair.new) {
            if instance.condition == Condition::Healthy && now < instance.since + healthy_for {
                instance.condition = Condition::Settling(instance.since);
            }
        }
    }

    /// The way back to `deployment.from`, whose release is `release`.
    pub fn backward<'a>(
        deployment: &Stored<Deployment>,
        release: Option<&Release>,
        formation: Option<&Formation>,
        jobs: impl IntoIterator<Item = &'a Stored<Job>>,
        failed_starts: u32,
    ) -> Self {
        let Deployment { from, to, .. } = deployment.spec;
        let weight = 100 - deployment.status.weight.min(100);
        Self::between(deployment, (Some(to), from), release, formation, jobs, (weight, failed_starts))
    }

    fn between<'a>(
        deployment: &Stored<Deployment>,
        (old, new): (Option<ReleaseId>, Option<ReleaseId>),
        release: Option<&Release>,
        formation: Option<&Formation>,
        jobs: impl IntoIterator<Item = &'a Stored<Job>>,
        (weight, failed_starts): (u8, u32),
    ) -> Self {
        let mut processes: BTreeMap<ProcessName, Pair> = BTreeMap::new();
        for name in release.iter().flat_map(|release| release.processes.keys()) {
            let wanted = formation.and_then(|formation| formation.processes.get(name)).map_or(0, |scale| scale.count);
            processes.insert(name.clone(), Pair { wanted, ..Pair::default() });
        }
        for job in jobs {
            let Purpose::Service { process, instance, .. } = &job.spec.purpose else {
                continue;
            };
            if job.spec.desired != Desired::Up {
                continue;
            }
            let side = match Some(job.spec.release) {
                release if release == new => Side::New,
                release if release == old => Side::Old,
                _ => continue,
            };
            let instance = Instance {
                job: job.id,
                number: *instance,
                attempt: job.spec.attempt,
                since: job.status.since,
                condition: Condition::of(job),
            };
            processes.entry(process.clone()).or_default().side_mut(side).push(instance);
        }
        let (policy, progressed_at) = (deployment.spec.policy.clone(), deployment.status.progressed_at);
        Self { processes, policy, weight, progressed_at, failed_starts }
    }

    /// How many instances of the release that is to serve are healthy.
    pub fn healthy(&self) -> u32 {
        self.processes.values().map(|pair| pair.healthy(Side::New)).sum()
    }

    /// Whether the release that is to serve has all the healthy instances it is to have.
    pub fn is_up(&self) -> bool {
        self.processes.values().all(Pair::is_up)
    }

    /// Whether the release that serves so far has instances that are meant to run.
    pub fn has_old(&self) -> bool {
        self.processes.values().any(|pair| !pair.old.is_empty())
    }

    /// The share of the healthy instances that are of the release that is to serve, in percent. Without any
    /// it is the present weight; without old instances it is 100.
    pub fn share(&self) -> u8 {
        let (new, old) = self.processes.values().fold((0u64, 0u64), |(new, old), pair| {
            (new + u64::from(pair.healthy(Side::New)), old + u64::from(pair.healthy(Side::Old)))
        });
        match (new, old) {
            _ if !self.has_old() => 100,
            (0, 0) => self.weight,
            _ => u8::try_from(new * 100 / (new + old)).unwrap_or(100),
        }
    }

    /// Why the release cannot serve, if that is known at `now`.
    ///
    /// One instance that fails is started again. The rollout has failed when one failed too often in a row,
    /// was not placed or not healthy by its start deadline, or when no more became healthy within the progress deadline,
    /// which belongs to the whole rollout: instances that come up and go down in turns do not move it.
    pub fn failure(&self, now: Timestamp) -> Option<Cause> {
        if self.is_up() {
            return None;
        }
        let instances = || self.new_instances();
        for (name, instance) in instances() {
            let times = instance.attempt.saturating_add(1);
            match &instance.condition {
                Condition::Ended(exit) if times >= self.failed_starts => {
                    return Some(Cause::Crashed { instance: name, exit: exit.clone(), times });
                }
                Condition::Waiting { reason, since } if now >= self.placed_by(*since) => {
                    let within = self.policy.start_deadline;
                    return Some(Cause::NotPlaced { instance: name, reason: reason.clone(), within });
                }
                Condition::Starting(since) if now >= *since + self.policy.start_deadline => {
                    return Some(Cause::NeverHealthy { instance: name, within: self.policy.start_deadline });
                }
                _ => {}
            }
        }
        if now < self.progressed_at + self.policy.progress_deadline {
            return None;
        }
        let within = self.policy.progress_deadline;
        let (instance, stuck) = instances().find(|(_, instance)| instance.condition != Condition::Healthy)?;
        let condition = match &stuck.condition {
            Condition::Waiting { reason, .. } => {
                return Some(Cause::NotPlaced { instance, reason: reason.clone(), within });
            }
            Condition::Ended(exit) => {
                return Some(Cause::Crashed { instance, exit: exit.clone(), times: stuck.attempt.saturating_add(1) });
            }
            Condition::Starting(_) => "is still starting",
            Condition::Settling(_) => "was not healthy for long enough",
            Condition::Lost => "was lost with its node",
            Condition::Healthy | Condition::Unhealthy => "fails its check",
        };
        Some(Cause::Stalled { instance, condition, within })
    }

    /// When the next deadline runs out, if nothing else happens.
    pub fn deadline(&self) -> Timestamp {
        let starts = self.new_instances().filter_map(|(_, instance)| match instance.condition {
            Condition::Starting(since) => Some(since + self.policy.start_deadline),
            Condition::Waiting { since, .. } => Some(self.placed_by(since)),
            Condition::Settling(since) => Some(since + self.policy.healthy_for),
            _ => None,
        });
        starts.fold(self.progressed_at + self.policy.progress_deadline, Timestamp::min)
    }

    /// When an instance that has waited for a node since `since` must have one. Whatever comes up may make room.
    fn placed_by(&self, since: Timestamp) -> Timestamp {
        since.max(self.progressed_at) + self.policy.start_deadline
    }

    fn new_instances(&self) -> impl Iterator<Item = (String, &Instance)> {
        self.processes.iter().flat_map(|(process, pair)| {
            pair.new.iter().map(move |instance| (format!("{process}.{}", instance.number), instance))
        })
    }
}

impl Pair {
    /// The instances of one release.
    pub fn side(&self, side: Side) -> &[Instance] {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut Vec<Instance> {
        match side {
            Side::Old => &mut self.old,
            Side::New => &mut self.new,
        }
    }

    /// How many instances of one release there are, in whatever condition.
    pub fn count(&self, side: Side) -> u32 {
        u32::try_from(self.side(side).len()).unwrap_or(u32::MAX)
    }

    /// How many instances of one release are healthy.
    pub fn healthy(&self, side: Side) -> u32 {
        let healthy = self.side(side).iter().filter(|instance| instance.condition == Condition::Healthy);
        u32::try_from(healthy.count()).unwrap_or(u32::MAX)
    }

    /// Whether the wanted number of new instances is healthy.
    pub fn is_up(&self) -> bool {
        self.healthy(Side::New) >= self.wanted
    }
}

impl Condition {
    fn of(job: &Stored<Job>) -> Self {
        match &job.status.state {
            JobState::Pending { reason } => {
                let since = if job.status.since == Timestamp::EPOCH { job.created_at } else { job.status.since };
                Self::Waiting { reason: reason.clone(), since: since.max(job.spec.not_before) }
            }
            JobState::Assigned | JobState::Starting => Self::Starting(job.status.since),
            JobState::Up { health: Health::Healthy, .. } => Self::Healthy,
            JobState::Up { .. } | JobState::Stopping => Self::Unhealthy,
            JobState::Exited(exit) => Self::Ended(exit.clone()),
            JobState::Lost { .. } => Self::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::deploy::{AllAtOnce, DeployStrategy, Rolling, Step};

    fn instance(number: u32, condition: Condition) -> Instance {
        Instance { job: JobId::NIL, number, attempt: 0, since: Timestamp::EPOCH, condition }
    }

    fn rollout(new: Vec<Instance>, old: Vec<Instance>, wanted: u32) -> Rollout {
        let pair = Pair { wanted, new, old };
        Rollout {
            processes: BTreeMap::from([(ProcessName::new("web").unwrap(), pair)]),
            policy: DeployPolicy::default(),
            weight: 100,
            progressed_at: Timestamp::EPOCH,
            failed_starts: 3,
        }
    }

    #[test]
    fn once_the_new_side_is_up_no_deadline_counts() {
        let late = Timestamp::EPOCH + Duration::from_secs(100_000);
        let up = rollout(vec![instance(1, Condition::Healthy)], vec![instance(1, Condition::Unhealthy)], 1);
        for strategy in [&AllAtOnce as &dyn DeployStrategy, &Rolling::ONE_BY_ONE] {
            let step = strategy.step(&up, late);
            assert!(matches!(step, Step::Stop { side: Side::Old, count: 1, .. }), "{step:?}");
        }
        let surplus = vec![instance(1, Condition::Healthy), instance(2, Condition::Starting(Timestamp::EPOCH))];
        assert_eq!(rollout(surplus, vec![], 1).failure(late), None);
    }

    #[test]
    fn the_first_deadline_to_run_out_is_the_one_waited_for() {
        let at = |seconds| Timestamp::EPOCH + Duration::from_secs(seconds);
        let starting = rollout(vec![instance(1, Condition::Starting(at(5)))], vec![], 1);
        assert_eq!(starting.deadline(), at(65));
        assert_eq!(AllAtOnce.step(&starting, at(64)), Step::WaitUntil(at(65)));
        let expect = Cause::NeverHealthy { instance: "web.1".into(), within: Duration::from_secs(60) };
        assert_eq!(AllAtOnce.step(&starting, at(65)), Step::Abort(expect));
        let waits = |since| Condition::Waiting { reason: "no room".into(), since: at(since) };
        let waiting = rollout(vec![instance(1, waits(5))], vec![], 1);
        assert_eq!((waiting.deadline(), waiting.failure(at(64))), (at(65), None));
        assert!(matches!(waiting.failure(at(65)), Some(Cause::NotPlaced { .. })));
        // One that begins to wait while others come up has the whole time from then on.
        let mut moving = rollout(vec![instance(1, waits(5))], vec![], 1);
        moving.progressed_at = at(40);
        assert_eq!((moving.deadline(), moving.failure(at(99))), (at(100), None));
    }
}
