//! Simulated nodes and routers.

use std::net::SocketAddr;
use std::time::Duration;

use flynn_core::noun::{
    Build, BuildIntent, BuildState, BuildStatus, Desired, Exit, Health, Job, JobState, JobStatus, NodeId, Purpose,
    Stored,
};
use flynn_core::port::{Beat, Member, Seen};
use flynn_core::{Change, JobId, Principal, Revision};

use super::Sim;

/// What the instances of a release do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// They come up and stay.
    Good,
    /// They exit with this code instead of coming up.
    Crash(i32),
    /// They run out of memory instead of coming up.
    OutOfMemory,
    /// They never answer their check.
    Hang,
    /// They exit this often, one after the other, before one comes up.
    FailFirst(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouterMode {
    /// It acknowledges at once.
    Prompt,
    /// It acknowledges nothing beyond this revision.
    Stuck(Revision),
    /// It is gone.
    Dead,
}

/// The agent of a node.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) is_alive: bool,
    /// The chance, of 4, that it gets to a job in one tick.
    pub(crate) speed: u64,
}

/// Whether this is the job of a release command, which ends by itself.
pub(crate) fn is_release_command(job: &Stored<Job>) -> bool {
    let is_one_off = matches!(job.spec.purpose, Purpose::OneOff { .. });
    is_one_off && job.spec.workload.process.command.last().is_some_and(|word| word == "release")
}

const LEASE: Duration = Duration::from_secs(3);

impl Sim {
    /// Every node and router does what it does in one tick.
    pub(crate) fn act(&mut self) {
        let now = self.now();
        let head = self.snapshot().revision;
        let mut beats = Vec::new();
        for (id, agent) in &self.nodes {
            if agent.is_alive {
                beats.push((Member::Node(*id), Revision::ZERO));
            }
        }
        for (id, mode) in &self.routers {
            match mode {
                RouterMode::Prompt => beats.push((Member::Router(*id), head)),
                RouterMode::Stuck(at) => beats.push((Member::Router(*id), *at)),
                RouterMode::Dead => {}
            }
        }
        for (member, acknowledged) in beats {
            let beat = Beat { incarnation: "1".into(), acknowledged };
            self.seen.insert(member, Seen { member, beat, at: now, until: now + LEASE });
        }
        let jobs = self.jobs();
        for job in jobs {
            let Some(node) = job.spec.node.filter(|node| self.nodes.get(node).is_some_and(|agent| agent.is_alive))
            else {
                continue;
            };
            let speed = self.nodes[&node].speed;
            if self.draw(4) < speed
                && let Some(state) = self.next_state(&job)
            {
                self.report(node, job.id, state);
            }
        }
        self.act_on_builds();
    }

    fn act_on_builds(&mut self) {
        let builds: Vec<_> = self.snapshot().objects.iter::<Build>().cloned().collect();
        for build in builds {
            let Some(node) = build.spec.node.filter(|node| self.nodes.get(node).is_some_and(|agent| agent.is_alive))
            else {
                continue;
            };
            let state = match (&build.status.state, build.spec.desired) {
                (BuildState::Assigned | BuildState::Running, BuildIntent::Cancel) => BuildState::Cancelled,
                (BuildState::Assigned, BuildIntent::Finish) => BuildState::Running,
                (BuildState::Running, BuildIntent::Finish) => BuildState::Succeeded(super::build_up::output()),
                _ => continue,
            };
            let status = BuildStatus { state, since: self.now() };
            self.commit(Principal::Node(node), [Change::report(build.id, status)]);
        }
    }

    fn next_state(&self, job: &Stored<Job>) -> Option<JobState> {
        let behaviour = self.behaviours.get(&job.spec.release).copied().unwrap_or(Behaviour::Good);
        let up = || {
            let address: SocketAddr = "10.0.0.1:8080".parse().unwrap();
            let address = job.spec.workload.process.port.map(|_| address);
            Some(JobState::Up { address, health: Health::Healthy })
        };
        match (&job.status.state, job.spec.desired) {
            (JobState::Assigned | JobState::Starting, Desired::Down) => {
                Some(JobState::Exited(Exit::NotStarted { reason: "told to end".into() }))
            }
            (JobState::Assigned, _) => Some(JobState::Starting),
            (JobState::Starting, _) => match behaviour {
                Behaviour::Crash(code) => Some(JobState::Exited(Exit::Code(code))),
                Behaviour::OutOfMemory => Some(JobState::Exited(Exit::OutOfMemory)),
                Behaviour::Hang => None,
                Behaviour::FailFirst(times) if job.spec.attempt < times => Some(JobState::Exited(Exit::Code(9))),
                Behaviour::Good | Behaviour::FailFirst(_) => up(),
            },
            (JobState::Up { .. }, Desired::Up) if is_release_command(job) => Some(JobState::Exited(Exit::Code(0))),
            (JobState::Up { .. }, Desired::Down) => Some(JobState::Stopping),
            (JobState::Stopping, _) => Some(JobState::Exited(Exit::Code(0))),
            _ => None,
        }
    }

    pub(crate) fn report(&mut self, node: NodeId, job: JobId, state: JobState) {
        let status = JobStatus { state, since: self.now() };
        self.commit(Principal::Node(node), [Change::report(job, status)]);
    }

    /// Ends the n-th running job, if there is one.
    pub(crate) fn crash(&mut self, index: usize, exit: Exit) {
        let running: Vec<_> = self.jobs().into_iter().filter(|job| self.is_reachable_and_up(job)).collect();
        if running.is_empty() {
            return;
        }
        let job = &running[index % running.len()];
        self.report(job.spec.node.unwrap(), job.id, JobState::Exited(exit));
    }

    fn is_reachable_and_up(&self, job: &Stored<Job>) -> bool {
        let is_alive = job.spec.node.and_then(|node| self.nodes.get(&node)).is_some_and(|agent| agent.is_alive);
        is_alive && matches!(job.status.state, JobState::Up { .. })
    }

    pub(crate) fn set_alive(&mut self, index: usize, is_alive: bool) {
        let count = self.nodes.len();
        self.nodes.values_mut().nth(index % count).unwrap().is_alive = is_alive;
    }

    pub(crate) fn set_router(&mut self, index: usize, mode: RouterMode) {
        let count = self.routers.len();
        if count > 0 {
            *self.routers.values_mut().nth(index % count).unwrap() = mode;
        }
    }

    pub(crate) fn heal(&mut self) {
        self.nodes.values_mut().for_each(|agent| agent.is_alive = true);
        self.routers.values_mut().for_each(|mode| *mode = RouterMode::Prompt);
    }
}
