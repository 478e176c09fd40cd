//! A store, a node and an agent, and everything that can happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use flynn_core::disk::{DiskUse, OverLimit};
use flynn_core::name::{AppName, NodeName, ProcessName};
use flynn_core::noun::{
    Desired, Exit, Health, HealthCheck, Job, JobState, JobStatus, Liveness, Node, NodeStatus, Objects, OneOffInput,
    Probe, ProcessType, Purpose, Stored, Terminal, Workload,
};
use flynn_core::port::{ContainerState, Signal};
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, Ids, JobId, NodeId, Revision, TeamId, Timestamp};
use flynn_runtime::agent::pass::{Act, Ending, Kept, Observed, Plan, Trouble, Visit, pass};
use proptest::prelude::*;

const JOBS: usize = 4;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Place(usize),
    Pass,
    Finish(usize),
    Fail {
        job: usize,
        lasting: bool,
        had_effect: bool,
    },
    Commit,
    LoseReports,
    Exit(usize, i32),
    LoseSupervisor(usize),
    KillAgent {
        done: bool,
    },
    Reboot,
    Tell(usize, Desired),
    Remove(usize),
    Visit(usize, Visit),
    Probe(usize, Health),
    /// It is found to have written more than it may.
    Fill(usize),
    Wait(u64),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let job = 0..JOBS;
    prop_oneof![
        3 => job.clone().prop_map(Step::Place),
        12 => Just(Step::Pass),
        8 => job.clone().prop_map(Step::Finish),
        2 => (job.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(job, lasting, had_effect)| Step::Fail { job, lasting, had_effect }),
        8 => Just(Step::Commit),
        1 => Just(Step::LoseReports),
        2 => (job.clone(), 0..3).prop_map(|(job, code)| Step::Exit(job, code)),
        1 => job.clone().prop_map(Step::LoseSupervisor),
        2 => any::<bool>().prop_map(|done| Step::KillAgent { done }),
        1 => Just(Step::Reboot),
        1 => (job.clone(), prop_oneof![Just(Desired::Drain), Just(Desired::Down)])
            .prop_map(|(job, desired)| Step::Tell(job, desired)),
        2 => job.clone().prop_map(Step::Remove),
        2 => (job.clone(), prop_oneof![Just(Visit::Here), Just(Visit::Gone)])
            .prop_map(|(job, visit)| Step::Visit(job, visit)),
        1 => job.clone().prop_map(Step::Fill),
        2 => (job, prop_oneof![Just(Health::Healthy), Just(Health::Unhealthy)])
            .prop_map(|(job, health)| Step::Probe(job, health)),
        2 => (0_u64..40_000).prop_map(Step::Wait),
    ]
}

const OVER: OverLimit = OverLimit { limit: 1 << 20, used: DiskUse { bytes: 2 << 20, entries: 3, is_cut: false } };

pub(crate) fn out_of_disk() -> Exit {
    Exit::OutOfDisk { reason: "disk limit of 1 MiB exceeded (2 MiB used)".to_owned() }
}

/// A store, a node and an agent, as plain values.
pub(crate) struct World {
    node: NodeId,
    objects: Objects,
    versions: u64,
    pub(crate) observed: Observed,
    pub(crate) under_way: BTreeMap<JobId, Act>,
    pub(crate) reports: Vec<Act>,
    pub(crate) plan: Plan,
    pub(crate) now: Timestamp,
    ids: Ids,
    /// The job of each number, once it is placed.
    pub(crate) jobs: [Option<JobId>; JOBS],
    /// How each process has ended, and which nobody can know of.
    ended: BTreeMap<JobId, Exit>,
    unknowable: BTreeSet<JobId>,
    ran: BTreeSet<JobId>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut ids = Ids::seeded(1);
        let now = Timestamp::from_millis(1_000_000);
        let node = ids.next(now);
        let mut world = Self {
            node,
            objects: Objects::default(),
            versions: 1,
            observed: Observed::default(),
            under_way: BTreeMap::new(),
            reports: Vec::new(),
            plan: Plan::default(),
            now,
            ids,
            jobs: [None; JOBS],
            ended: BTreeMap::new(),
            unknowable: BTreeSet::new(),
            ran: BTreeSet::new(),
        };
        world.observed.node = NodeStatus { boot: "boot 0".to_owned(), ..NodeStatus::default() };
        world.put_node(NodeStatus::default());
        world
    }

    fn put_node(&mut self, status: NodeStatus) {
        let spec = Node::new(NodeName::new("n1").unwrap());
        self.versions += 1;
        let version = Revision::new(self.versions);
        let node = Stored {
            id: self.node,
            team: TeamId::SYSTEM,
            spec,
            status,
            spec_version: version,
            status_version: version,
            created_at: self.now,
        };
        self.objects.insert(node.into());
    }

    fn put(&mut self, id: JobId, spec: Job, status: JobStatus) {
        self.versions += 1;
        let version = Revision::new(self.versions);
        let job = Stored {
            id,
            team: TeamId::SYSTEM,
            spec,
            status,
            spec_version: version,
            status_version: version,
            created_at: self.now,
        };
        self.objects.insert(job.into());
    }

    fn place(&mut self, number: usize) {
        if self.jobs[number].is_some() {
            return;
        }
        let id = self.ids.next(self.now);
        self.jobs[number] = Some(id);
        let purpose = match number {
            0 => Purpose::OneOff { terminal: Terminal::Pty, input: OneOffInput::Attached },
            1 => Purpose::OneOff { terminal: Terminal::None, input: OneOffInput::Closed },
            _ => {
                let process = ProcessName::new("web").unwrap();
                Purpose::Service { process, instance: u32::try_from(number).unwrap(), deployment: None }
            }
        };
        let check = HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            threshold: 1,
        };
        let process = ProcessType {
            port: (number >= 2).then_some(8080),
            check: (number == 3).then_some(check),
            ..ProcessType::new(vec!["program".to_owned()])
        };
        let job = Job {
            app: AppId::NIL,
            release: flynn_core::ReleaseId::NIL,
            purpose,
            workload: Arc::new(Workload {
                app: AppName::new("web").unwrap(),
                release: 1,
                image: Digest::from_bytes([1; 32]),
                process,
                env: BTreeMap::new(),
            }),
            resources: Resources::ZERO,
            attempt: 0,
            not_before: Timestamp::EPOCH,
            node: Some(self.node),
            desired: Desired::Up,
        };
        self.put(id, job, JobStatus { state: JobState::Assigned, since: self.now });
    }

    pub(crate) fn stored(&self, id: JobId) -> Option<Arc<Stored<Job>>> {
        self.objects.get(id).cloned()
    }

    /// Decides, checks what must hold of any decision, and begins to carry it out.
    fn pass(&mut self) {
        self.observed.busy = self.under_way.keys().copied().collect();
        let preparing = self.under_way.iter().filter(|(_, act)| matches!(act, Act::Prepare(_)));
        self.observed.preparing = preparing.map(|(id, _)| *id).collect();
        for (id, state) in &self.observed.containers {
            if matches!(state, ContainerState::Created | ContainerState::Running { .. }) {
                self.observed.memories.entry(*id).or_default().seen.get_or_insert(self.now);
            }
        }
        let plan = pass(self.node, &self.objects, &self.observed, self.now);
        assert_eq!(plan, pass(self.node, &self.objects, &self.observed, self.now), "it depends on nothing else");
        let mut touched = BTreeSet::new();
        self.reports.clear();
        for act in &plan.acts {
            match act {
                Act::Report(..) | Act::ReportNode(_) => self.reports.push(act.clone()),
                Act::GiveUp(id) => {
                    assert!(touched.insert(*id), "two acts for one job: {plan:?}");
                    let wanted = self
                        .stored(*id)
                        .is_some_and(|job| job.spec.desired != Desired::Down && !job.status.state.is_end());
                    assert!(!wanted, "given up although it is wanted");
                    let given_up = self.under_way.remove(id);
                    assert_eq!(given_up, Some(Act::Prepare(*id)), "there is nothing to be given up");
                    // It may have come as far as this.
                    self.observed.kept.insert(*id, Kept::default());
                }
                Act::Prepare(id) | Act::Start(id) | Act::Signal(id, _) | Act::Clear(id) => {
                    assert!(touched.insert(*id), "two acts for one job: {plan:?}");
                    assert!(!self.under_way.contains_key(id), "an act for a job that is busy: {act:?}");
                    self.check(act, *id);
                    self.under_way.insert(*id, act.clone());
                }
            }
        }
        self.plan = plan;
    }

    fn check(&self, act: &Act, id: JobId) {
        let container = self.observed.containers.get(&id);
        let status = self.stored(id).map(|job| job.status.state.clone());
        match act {
            Act::Prepare(_) => {
                assert_eq!(container, None, "a second creation");
                assert!(!self.ran.contains(&id), "a job runs twice");
            }
            Act::Start(_) => assert_eq!(container, Some(&ContainerState::Created)),
            Act::Signal(..) => assert!(matches!(container, Some(ContainerState::Running { .. }))),
            Act::Clear(_) => {
                let committed = status.as_ref().is_none_or(JobState::is_end);
                assert!(committed, "taken away before its end was committed: {status:?}");
                assert!(!matches!(container, Some(ContainerState::Running { .. })), "taken away while it runs");
            }
            Act::GiveUp(_) | Act::Report(..) | Act::ReportNode(_) => {}
        }
    }

    fn effect(&mut self, act: &Act) {
        match act {
            Act::Prepare(id) => {
                self.observed.kept.insert(*id, Kept { host: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: None });
                self.observed.containers.insert(*id, ContainerState::Created);
            }
            Act::Start(id) => {
                if self.observed.containers.get(id) == Some(&ContainerState::Created) {
                    assert!(self.ran.insert(*id), "a job runs twice");
                    self.observed.containers.insert(*id, ContainerState::Running { since: self.now });
                }
            }
            Act::Signal(id, Signal::Kill) => self.exit(*id, Exit::Signal(9)),
            Act::Clear(id) => {
                self.observed.containers.remove(id);
                self.observed.kept.remove(id);
            }
            Act::GiveUp(_) | Act::Signal(..) | Act::Report(..) | Act::ReportNode(_) => {}
        }
    }

    fn exit(&mut self, id: JobId, exit: Exit) {
        if let Some(ContainerState::Running { .. }) = self.observed.containers.get(&id) {
            self.ended.insert(id, exit.clone());
            self.observed.containers.insert(id, ContainerState::Exited { exit, at: self.now });
        }
    }

    fn finish(&mut self, id: JobId) {
        let Some(act) = self.under_way.remove(&id) else { return };
        self.effect(&act);
        let memory = self.observed.memories.entry(id).or_default();
        memory.trouble = None;
        if let Act::Signal(_, sent) = act {
            let began = memory.ending.map_or(self.now, |ending| ending.began);
            memory.ending = Some(Ending { began, sent });
        }
    }

    /// The store takes what it is told, by its own rules.
    fn commit(&mut self) {
        for act in std::mem::take(&mut self.reports) {
            match act {
                Act::ReportNode(status) => self.put_node(status),
                Act::Report(id, state) => {
                    let Some(job) = self.stored(id) else { continue };
                    let old = &job.status.state;
                    if old.is_end() {
                        continue;
                    }
                    assert!(old.may_become(&state), "{old:?} cannot become {state:?}");
                    if let JobState::Exited(exit) = &state {
                        let truth = self.ended.get(&id);
                        // Why it was killed is known to whoever killed it.
                        let exit = if *exit == out_of_disk() { &Exit::Signal(9) } else { exit };
                        let never = matches!(exit, Exit::NotStarted { .. }) && !self.ran.contains(&id);
                        assert!(truth == Some(exit) || never, "reported {exit:?} of what ended with {truth:?}");
                    }
                    if let JobState::Lost { .. } = &state {
                        assert!(self.unknowable.contains(&id), "lost what is known: {:?}", self.ended.get(&id));
                    }
                    self.put(id, job.spec.clone(), JobStatus { state, since: self.now });
                }
                other => panic!("{other:?} is no report"),
            }
        }
    }

    fn kill_agent(&mut self, done: bool) {
        for act in std::mem::take(&mut self.under_way).into_values() {
            if done {
                self.effect(&act);
            }
        }
        self.reports.clear();
        self.observed.memories.clear();
        self.plan = Plan::default();
    }

    pub(crate) fn apply(&mut self, step: Step) {
        let id = |number: usize| self.jobs[number];
        match step {
            Step::Place(number) => self.place(number),
            Step::Pass => self.pass(),
            Step::Commit => self.commit(),
            Step::LoseReports => self.reports.clear(),
            Step::Wait(millis) => self.now = self.now + Duration::from_millis(millis),
            Step::KillAgent { done } => self.kill_agent(done),
            Step::Reboot => {
                self.kill_agent(false);
                let boot = format!("boot {}", self.versions);
                self.observed.node.boot = boot;
                // All that ran, or had ended without a word to the store, is gone.
                self.unknowable.extend(self.observed.containers.keys());
                self.unknowable.extend(self.ran.iter());
                self.unknowable.extend(self.jobs.iter().flatten());
                self.observed.containers.clear();
            }
            Step::Finish(number) => id(number).into_iter().for_each(|id| self.finish(id)),
            Step::Fail { job, lasting, had_effect } => {
                let Some(id) = id(job) else { return };
                let Some(act) = self.under_way.remove(&id) else { return };
                // A creation that fails leaves nothing behind.
                if had_effect && !matches!(act, Act::Prepare(_)) {
                    self.effect(&act);
                }
                let memory = self.observed.memories.entry(id).or_default();
                let trouble = Trouble::after(memory.trouble.as_ref(), "it failed".to_owned(), lasting, self.now);
                memory.trouble = Some(trouble);
            }
            Step::Exit(number, code) => id(number).into_iter().for_each(|id| self.exit(id, Exit::Code(code))),
            Step::LoseSupervisor(number) => {
                let Some(id) = id(number) else { return };
                if let Some(state @ (ContainerState::Created | ContainerState::Running { .. })) =
                    self.observed.containers.get_mut(&id)
                {
                    *state = ContainerState::Lost { reason: "its supervisor died".to_owned() };
                    self.unknowable.insert(id);
                }
            }
            Step::Tell(number, desired) => {
                let Some(job) = id(number).and_then(|id| self.stored(id)) else { return };
                if desired > job.spec.desired {
                    self.put(job.id, Job { desired, ..job.spec.clone() }, job.status.clone());
                }
            }
            Step::Remove(number) => {
                let Some(job) = id(number).and_then(|id| self.stored(id)) else { return };
                if job.status.state.is_end() {
                    self.objects.remove(job.id.into());
                }
            }
            Step::Visit(number, visit) => {
                let Some(id) = id(number) else { return };
                self.observed.memories.entry(id).or_default().visit = visit;
            }
            Step::Fill(number) => {
                let Some(id) = id(number) else { return };
                if let Some(ContainerState::Running { .. }) = self.observed.containers.get(&id) {
                    self.observed.memories.entry(id).or_default().over = Some(OVER);
                }
            }
            Step::Probe(number, health) => {
                let Some(id) = id(number) else { return };
                let Some(watch) = self.plan.watch.get(&id) else { return };
                let memory = self.observed.memories.entry(id).or_default();
                // Whoever was never healthy is not unhealthy either.
                let known = memory.health.or(watch.known).is_some();
                if health == Health::Healthy || (known && !watch.once) {
                    memory.health = Some(health);
                }
            }
        }
    }

    /// Nothing more goes wrong: everything comes to where it is to be, and stays there.
    pub(crate) fn settle(&mut self) {
        for _ in 0..60 {
            self.pass();
            for id in self.under_way.keys().copied().collect::<Vec<_>>() {
                self.finish(id);
            }
            self.commit();
            for id in self.plan.watch.keys().copied().collect::<Vec<_>>() {
                self.observed.memories.entry(id).or_default().health = Some(Health::Healthy);
            }
            self.now = self.now + Duration::from_secs(5);
        }
        self.pass();
        assert_eq!(self.plan.acts, [], "it goes on for ever");
        for job in self.objects.iter::<Job>() {
            let container = self.observed.containers.get(&job.id);
            if job.status.state.is_end() {
                assert_eq!(container, None, "left behind of an ended job");
                continue;
            }
            assert_ne!(job.spec.desired, Desired::Down, "not ended");
            assert!(matches!(container, Some(ContainerState::Running { .. })), "{container:?} {:?}", job.status);
            let JobState::Up { address, health } = &job.status.state else { panic!("not up: {:?}", job.status) };
            assert_eq!((address.is_some(), health), (job.spec.workload.process.port.is_some(), &Health::Healthy));
        }
        for (id, exit) in &self.ended {
            let committed = self.stored(*id).map(|job| job.status.state.clone());
            let is_told = committed.as_ref().is_none_or(|state| {
                let killed = *exit == Exit::Signal(9) && *state == JobState::Exited(out_of_disk());
                killed || *state == JobState::Exited(exit.clone())
            });
            assert!(is_told || self.unknowable.contains(id), "an exit was lost: {exit:?} and {committed:?}");
        }
        let known: BTreeSet<_> = self.objects.iter::<Job>().map(|job| job.id).collect();
        let there: BTreeSet<_> = self.observed.containers.keys().chain(self.observed.kept.keys()).copied().collect();
        assert!(there.is_subset(&known), "left behind of a job that is not there");
        let node = self.objects.get(self.node).unwrap();
        let wanted = NodeStatus { liveness: Liveness::Ready, ..self.observed.node.clone() };
        assert_eq!(node.status, wanted);
    }
}
