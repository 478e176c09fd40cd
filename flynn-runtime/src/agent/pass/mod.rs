//! What an agent decides: a pure function of what the store intends, what is there, and the time.

mod ending;
mod observed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use flynn_core::noun::{
    Desired, Exit, Health, HealthCheck, Job, JobState, Liveness, Node, NodeStatus, Objects, OneOffInput, Probe,
    ProcessType, Purpose, Stored,
};
use flynn_core::port::{ContainerState, Signal};
use flynn_core::{JobId, NodeId, Timestamp};

use ending::Way;
pub use observed::{Ending, Kept, Memory, Observed, Trouble, Visit};

/// An attached one-off job waits so long for whoever asked for it.
pub const ATTACH_LIMIT: Duration = Duration::from_secs(60);
/// What the node cannot do at present is tried for so long before the job is given up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The number of the signal that kills.
const KILLED: i32 = 9;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Get everything ready for a job, and create its container.
    Prepare(JobId),
    /// Leave off the preparation that is under way. What it has made by then is cleared once its end is committed.
    GiveUp(JobId),
    /// Run its program.
    Start(JobId),
    /// Send its first process a signal.
    Signal(JobId, Signal),
    /// Put its log aside and take everything of it away. Its end was committed, or nobody wants to know.
    Clear(JobId),
    /// Tell the store how far it is.
    Report(JobId, JobState),
    /// Tell the store about the node.
    ReportNode(NodeStatus),
}

/// What a pass decided.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// What to do.
    pub acts: Vec<Act>,
    /// The jobs whose health is to be asked.
    pub watch: BTreeMap<JobId, Watch>,
    /// When to look again although nothing happened.
    pub again: Option<Timestamp>,
}

/// How the health of a job is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Whom to ask.
    pub address: SocketAddr,
    /// What to ask.
    pub check: HealthCheck,
    /// Whether the first pass is enough.
    pub once: bool,
    /// What was known of it before this agent asked for the first time.
    pub known: Option<Health>,
}

/// Decides what to do for `node`, whose scope `objects` are.
///
/// The same decision may be carried out any number of times, or not at all: the next pass goes by what is
/// there then. At most one act other than a report concerns a job, and none a job that is busy, unless its
/// preparation is given up.
pub fn pass(node: NodeId, objects: &Objects, observed: &Observed, now: Timestamp) -> Plan {
    let known = objects.get(node);
    let rebooted = known.is_some_and(|known| known.status.boot != observed.node.boot);
    let setting = Setting { observed, now, rebooted };
    let mut plan = Plan::default();
    for job in objects.iter::<Job>().filter(|job| job.spec.node == Some(node)) {
        setting.job(job, &mut plan);
    }
    let own = |id: &JobId| objects.get(*id).is_some_and(|job| job.spec.node == Some(node));
    let strangers: BTreeSet<_> =
        observed.containers.keys().chain(observed.kept.keys()).chain(&observed.preparing).collect();
    for stranger in strangers.into_iter().filter(|id| !own(id)) {
        setting.clear(*stranger, ProcessType::STOP_TIMEOUT, None, &mut plan);
    }
    // What the boot ended is committed first: afterwards nothing tells that there was one.
    let losses = |act: &Act| matches!(act, Act::Report(_, JobState::Lost { .. }));
    if let Some(known) = known.filter(|_| !plan.acts.iter().any(losses)) {
        plan.acts.extend(report_node(known, &observed.node));
    }
    plan
}

/// The liveness of a node is the controller's to say, but for its first word.
fn report_node(known: &Stored<Node>, own: &NodeStatus) -> Option<Act> {
    let liveness = match known.status.liveness {
        Liveness::Unseen => Liveness::Ready,
        other => other,
    };
    let wanted = NodeStatus { liveness, ..own.clone() };
    (wanted != known.status).then_some(Act::ReportNode(wanted))
}

struct Setting<'a> {
    observed: &'a Observed,
    now: Timestamp,
    /// Whether the machine was started anew since the node last reported.
    rebooted: bool,
}

static NOTHING: Memory =
    Memory { seen: None, health: None, visit: Visit::None, ending: None, trouble: None, over: None };

impl Setting<'_> {
    fn memory(&self, job: JobId) -> &Memory {
        self.observed.memories.get(&job).unwrap_or(&NOTHING)
    }

    fn job(&self, job: &Stored<Job>, plan: &mut Plan) {
        let state = &job.status.state;
        if state.is_end() {
            return self.clear(job.id, job.spec.workload.process.stop_timeout, None, plan);
        }
        if self.observed.busy.contains(&job.id) {
            if job.spec.desired == Desired::Down {
                self.give_up_preparation(job.id, plan);
            }
            return report(job, JobState::Starting, plan);
        }
        match self.observed.containers.get(&job.id) {
            None => self.without_container(job, plan),
            Some(ContainerState::Created) => self.created(job, plan),
            Some(ContainerState::Running { .. }) => self.running(job, plan),
            Some(ContainerState::Exited { exit, .. }) => {
                plan.acts.push(Act::Report(job.id, JobState::Exited(self.explained(job.id, exit))));
            }
            Some(ContainerState::Lost { reason }) => {
                plan.acts.push(Act::Report(job.id, JobState::Lost { reason: reason.clone() }));
            }
        }
    }

    /// How a job ended, and not only by which signal, if it was killed here for what it wrote.
    fn explained(&self, job: JobId, exit: &Exit) -> Exit {
        match (self.memory(job).over, exit) {
            (Some(over), Exit::Signal(KILLED)) => Exit::OutOfDisk { reason: over.to_string() },
            _ => exit.clone(),
        }
    }

    fn without_container(&self, job: &Stored<Job>, plan: &mut Plan) {
        let ran = matches!(job.status.state, JobState::Up { .. } | JobState::Stopping);
        if ran || (self.rebooted && job.status.state == JobState::Starting) {
            let reason = if self.rebooted { "the machine was restarted" } else { "its container is gone" };
            return plan.acts.push(Act::Report(job.id, JobState::Lost { reason: reason.to_owned() }));
        }
        if job.spec.desired == Desired::Down {
            return never_ran(job, "it was told to end before it was started", plan);
        }
        if let Some(trouble) = self.given_up(job.id) {
            return never_ran(job, &trouble.reason, plan);
        }
        // Until the node has reported this boot, a job that is starting is one of the boot before.
        if !self.rebooted {
            report(job, JobState::Starting, plan);
            self.attempt(job.id, Act::Prepare(job.id), plan);
        }
    }

    fn created(&self, job: &Stored<Job>, plan: &mut Plan) {
        if job.spec.desired == Desired::Down {
            return never_ran(job, "it was told to end before it was started", plan);
        }
        if let Some(trouble) = self.given_up(job.id) {
            return never_ran(job, &trouble.reason, plan);
        }
        report(job, JobState::Starting, plan);
        if is_attached(job) {
            let memory = self.memory(job.id);
            let until = memory.seen.unwrap_or(self.now) + ATTACH_LIMIT;
            match memory.visit {
                Visit::Here => {}
                Visit::Gone => return never_ran(job, "whoever asked for it hung up before it was started", plan),
                Visit::None if self.now < until => return plan.look_again(until),
                Visit::None => {
                    let reason = format!("nobody attached to it within {} seconds", ATTACH_LIMIT.as_secs());
                    return never_ran(job, &reason, plan);
                }
            }
        }
        // If the machine were to restart now, a job that is only assigned would be prepared and run once more.
        if job.status.state != JobState::Assigned {
            self.attempt(job.id, Act::Start(job.id), plan);
        }
    }

    fn running(&self, job: &Stored<Job>, plan: &mut Plan) {
        let process = &job.spec.workload.process;
        let memory = self.memory(job.id);
        if memory.over.is_some() {
            return self.end(job.id, Way::Over, Duration::ZERO, None, plan);
        }
        if job.spec.desired == Desired::Down {
            report(job, JobState::Stopping, plan);
            let began = (job.status.state == JobState::Stopping).then_some(job.status.since);
            return self.end(job.id, Way::Told, process.stop_timeout, began, plan);
        }
        if is_attached(job) {
            let until = memory.seen.unwrap_or(self.now) + ATTACH_LIMIT;
            match memory.visit {
                Visit::Here => {}
                Visit::None if self.now < until => plan.look_again(until),
                Visit::None | Visit::Gone => self.end(job.id, Way::HungUp, process.stop_timeout, None, plan),
            }
        }
        let serving = matches!(job.spec.purpose, Purpose::Service { .. });
        let Some(port) = process.port.filter(|_| serving) else {
            return report(job, JobState::Up { address: None, health: Health::Healthy }, plan);
        };
        let Some(address) = self.observed.kept.get(&job.id).and_then(|kept| kept.address(port)) else {
            let reason = "its network is gone".to_owned();
            return plan.acts.push(Act::Report(job.id, JobState::Lost { reason }));
        };
        let known = match job.status.state {
            JobState::Up { health, .. } => Some(health),
            _ => None,
        };
        let (check, once) = match &process.check {
            Some(check) => (check.clone(), false),
            None => (port_opens(), true),
        };
        // One that was up once is up for as long as it runs, if nobody said how to ask it.
        if !once || known.is_none() {
            plan.watch.insert(job.id, Watch { address, check, once, known });
        }
        match memory.health.or(known) {
            Some(health) => report(job, JobState::Up { address: Some(address), health }, plan),
            None => report(job, JobState::Starting, plan),
        }
    }

    /// Takes away what nobody wants any more.
    fn clear(&self, job: JobId, stop_timeout: Duration, began: Option<Timestamp>, plan: &mut Plan) {
        if self.observed.busy.contains(&job) {
            return self.give_up_preparation(job, plan);
        }
        match self.observed.containers.get(&job) {
            Some(ContainerState::Running { .. }) => self.end(job, Way::Told, stop_timeout, began, plan),
            None if !self.observed.kept.contains_key(&job) => {}
            _ => self.attempt(job, Act::Clear(job), plan),
        }
    }

    fn give_up_preparation(&self, job: JobId, plan: &mut Plan) {
        if self.observed.preparing.contains(&job) {
            plan.acts.push(Act::GiveUp(job));
        }
    }

    /// Sends what is due of the signals that end a job.
    fn end(&self, job: JobId, way: Way, stop_timeout: Duration, began: Option<Timestamp>, plan: &mut Plan) {
        let ending = self.memory(job).ending;
        let began = ending.map_or(self.now, |ending| ending.began).min(began.unwrap_or(self.now));
        let (due, next) = ending::due(way, stop_timeout, self.now.since(began));
        next.into_iter().for_each(|wait| plan.look_again(began + wait));
        if ending.is_none_or(|ending| ending::is_gentler(ending.sent, due)) {
            self.attempt(job, Act::Signal(job, due), plan);
        }
    }

    /// The trouble for which a job is given up.
    fn given_up(&self, job: JobId) -> Option<&Trouble> {
        let trouble = self.memory(job).trouble.as_ref()?;
        (trouble.is_lasting || self.now.since(trouble.since) >= PATIENCE).then_some(trouble)
    }

    fn attempt(&self, job: JobId, act: Act, plan: &mut Plan) {
        match &self.memory(job).trouble {
            Some(trouble) if self.now < trouble.again => plan.look_again(trouble.again),
            _ => plan.acts.push(act),
        }
    }
}

impl Plan {
    fn look_again(&mut self, at: Timestamp) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }
}

/// Reports a state that is news and that may follow.
fn report(job: &Stored<Job>, state: JobState, plan: &mut Plan) {
    let old = &job.status.state;
    if *old != state && old.may_become(&state) {
        plan.acts.push(Act::Report(job.id, state));
    }
}

fn never_ran(job: &Stored<Job>, reason: &str, plan: &mut Plan) {
    let exit = Exit::NotStarted { reason: reason.to_owned() };
    plan.acts.push(Act::Report(job.id, JobState::Exited(exit)));
}

pub(super) fn is_attached(job: &Stored<Job>) -> bool {
    matches!(job.spec.purpose, Purpose::OneOff { input: OneOffInput::Attached, .. })
}

/// What is asked of a process that has a port and no check.
fn port_opens() -> HealthCheck {
    let (interval, timeout) = (Duration::from_millis(250), Duration::from_secs(5));
    HealthCheck { probe: Probe::Tcp, interval, timeout, threshold: 1 }
}
