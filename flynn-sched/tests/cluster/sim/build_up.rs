//! What is in a simulated cluster, and what its users do.

use std::collections::BTreeMap;
use std::time::Duration;

use flynn_core::name::{AppName, HostPattern, LabelKey, LabelValue, NodeName, TeamName};
use flynn_core::noun::{
    App, AppLifecycle, Build, BuildId, BuildIntent, BuildOutput, DeployIntent, DeployPolicy, Deployment, DeploymentId,
    Entry, Formation, FormationId, Job, JobId, Liveness, Node, NodeId, NodeStatus, OnFailure, OneOffInput, Placement,
    ProcessType, Purpose, Release, ReleaseCause, ReleaseId, Route, RouteId, Router, RouterId, RouterStatus, Scale,
    Strategy, Team, Terminal, Workload,
};
use flynn_core::value::{Digest, Resources};
use flynn_core::{Change, Principal, TeamId, Timestamp};
use flynn_sched::DEFAULT_RESOURCES;

use super::{Agent, Behaviour, RouterMode, Sim, process};

/// A capacity for `jobs` jobs of the usual size.
pub(crate) fn room_for(jobs: u64) -> Resources {
    DEFAULT_RESOURCES.times(jobs)
}

fn processes(names: &[&str]) -> BTreeMap<flynn_core::name::ProcessName, ProcessType> {
    let program = |name: &str| ProcessType {
        port: process(name).is_web().then_some(8080),
        ..ProcessType::new(vec!["./run".into(), name.into()])
    };
    names.iter().map(|name| (process(name), program(name))).collect()
}

/// What every simulated build makes.
pub(crate) fn output() -> BuildOutput {
    BuildOutput { image: Digest::from_bytes([7; 32]), processes: processes(&["web", "worker"]) }
}

impl Sim {
    pub(super) fn populate(&mut self, nodes: usize, routers: usize) {
        let mut changes = vec![
            Change::create(self.team, TeamId::SYSTEM, Team { name: TeamName::new("red").unwrap() }),
            Change::create(self.app, self.team, App::new(AppName::new("shop").unwrap())),
        ];
        let route: RouteId = self.id();
        let entry = Entry::host(HostPattern::new("shop.example").unwrap());
        changes.push(Change::create(route, self.team, Route { app: self.app, process: process("web"), entry }));
        for number in 1..=nodes {
            let id: NodeId = self.id();
            let name = NodeName::new(&format!("n{number}")).unwrap();
            let status = NodeStatus { liveness: Liveness::Ready, capacity: room_for(8), ..NodeStatus::default() };
            changes.extend([Change::create(id, TeamId::SYSTEM, Node::new(name)), Change::report(id, status)]);
            self.nodes.insert(id, Agent { is_alive: true, speed: 4 });
        }
        for number in 1..=routers {
            let id: RouterId = self.id();
            let name = NodeName::new(&format!("r{number}")).unwrap();
            let status = RouterStatus { liveness: Liveness::Ready, ..RouterStatus::default() };
            changes.extend([Change::create(id, TeamId::SYSTEM, Router { name }), Change::report(id, status)]);
            self.routers.insert(id, RouterMode::Prompt);
        }
        self.commit(Principal::System, changes);
        self.act();
    }

    /// The node of this name.
    pub(crate) fn node(&self, name: &str) -> NodeId {
        let objects = self.snapshot().objects;
        objects.iter::<Node>().find(|node| node.spec.name.as_str() == name).unwrap().id
    }

    pub(crate) fn set_capacity(&mut self, name: &str, capacity: Resources) {
        let id = self.node(name);
        let status = NodeStatus { capacity, ..self.get::<Node>(id).unwrap().status.clone() };
        self.commit(Principal::System, [Change::report(id, status)]);
    }

    pub(crate) fn release(&mut self, behaviour: Behaviour, names: &[&str]) -> ReleaseId {
        let id: ReleaseId = self.id();
        let app = self.app;
        let releases = self.snapshot().objects.iter::<Release>().map(|release| release.spec.number).max();
        let release = Release {
            app,
            number: releases.unwrap_or(0) + 1,
            image: Digest::from_bytes([1; 32]),
            env: BTreeMap::new(),
            processes: processes(names),
            cause: ReleaseCause::Image("test".into()),
            commit: None,
            branch: None,
        };
        self.behaviours.insert(id, behaviour);
        self.commit(Principal::System, [Change::create(id, self.team, release)]);
        id
    }

    /// Asks for a deployment of a fresh release, unless one is open.
    pub(crate) fn deploy(&mut self, behaviour: Behaviour, strategy: Strategy) -> Option<DeploymentId> {
        self.deploy_processes(behaviour, strategy, &["web", "worker"])
    }

    pub(crate) fn deploy_processes(
        &mut self,
        behaviour: Behaviour,
        strategy: Strategy,
        names: &[&str],
    ) -> Option<DeploymentId> {
        if self.deployments().iter().any(|deployment| !deployment.status.state.is_end()) {
            return None;
        }
        let to = self.release(behaviour, names);
        let policy = DeployPolicy {
            start_deadline: Duration::from_secs(10),
            progress_deadline: Duration::from_secs(60),
            on_failure: OnFailure::RollBack,
            ..DeployPolicy::default()
        };
        Some(self.deploy_release(to, strategy, policy))
    }

    pub(crate) fn deploy_release(&mut self, to: ReleaseId, strategy: Strategy, policy: DeployPolicy) -> DeploymentId {
        let id: DeploymentId = self.id();
        let from = self.serving();
        let deployment = Deployment { app: self.app, from, to, strategy, policy, desired: DeployIntent::Proceed };
        self.commit(Principal::System, [Change::create(id, self.team, deployment)]);
        id
    }

    /// Says what is intended for the open deployment, if there is one and it can still be said.
    pub(crate) fn intend(&mut self, desired: DeployIntent) {
        let open = self.deployments().into_iter().find(|deployment| !deployment.status.state.is_end());
        if let Some(open) = open
            && open.spec.desired != DeployIntent::Abort
        {
            self.commit(Principal::System, [Change::update(open.id, Deployment { desired, ..open.spec.clone() })]);
        }
    }

    /// Wants `count` instances of a process type of this size.
    pub(crate) fn resize(&mut self, name: &str, resources: Resources, count: u32) {
        let old = self.formation().unwrap();
        let mut next = old.spec.clone();
        next.processes.insert(process(name), Scale::of(count, resources));
        self.commit(Principal::System, [Change::update(old.id, next)]);
    }

    /// Says where the instances of a process type may be.
    pub(crate) fn place(&mut self, name: &str, placement: Placement) {
        let old = self.formation().unwrap();
        let mut next = old.spec.clone();
        let scale = next.processes.entry(process(name)).or_insert(Scale::of(0, DEFAULT_RESOURCES));
        scale.placement = placement;
        self.commit(Principal::System, [Change::update(old.id, next)]);
    }

    /// Gives nodes a label `zone`.
    pub(crate) fn in_zones(&mut self, zones: &[(&str, &str)]) {
        for (name, zone) in zones {
            let id = self.node(name);
            let mut spec = self.get::<Node>(id).unwrap().spec.clone();
            spec.labels.insert(LabelKey::new("zone").unwrap(), LabelValue::new(zone).unwrap());
            self.commit(Principal::System, [Change::update(id, spec)]);
        }
    }

    pub(crate) fn scale(&mut self, counts: &[(&str, u32)]) {
        let scale = |count| Scale::of(count, DEFAULT_RESOURCES);
        let processes = counts.iter().map(|(name, count)| (process(name), scale(*count))).collect();
        let formation = Formation { app: self.app, processes };
        let change = match self.formation() {
            Some(old) => Change::update(old.id, formation),
            None => {
                let id: FormationId = self.id();
                Change::create(id, self.team, formation)
            }
        };
        self.commit(Principal::System, [change]);
    }

    pub(crate) fn build(&mut self) -> BuildId {
        let id: BuildId = self.id();
        let number = self.snapshot().objects.iter::<Build>().map(|build| build.spec.number).max().unwrap_or(0) + 1;
        let build = Build {
            app: self.app,
            number,
            source: Digest::from_bytes([2; 32]),
            commit: Some("abc".into()),
            branch: Some("main".into()),
            resources: DEFAULT_RESOURCES,
            node: None,
            desired: BuildIntent::Finish,
        };
        self.commit(Principal::System, [Change::create(id, self.team, build)]);
        id
    }

    pub(crate) fn run_once(&mut self) -> JobId {
        let id: JobId = self.id();
        let release = self.serving().unwrap();
        let workload = Workload {
            app: AppName::new("shop").unwrap(),
            release: 1,
            image: Digest::from_bytes([1; 32]),
            process: ProcessType::new(vec!["./once".into()]),
            env: BTreeMap::new(),
        };
        let job = Job {
            app: self.app,
            release,
            purpose: Purpose::OneOff { terminal: Terminal::None, input: OneOffInput::Closed },
            workload: workload.into(),
            resources: DEFAULT_RESOURCES,
            attempt: 0,
            not_before: Timestamp::EPOCH,
            node: None,
            desired: flynn_core::noun::Desired::Up,
        };
        self.commit(Principal::System, [Change::create(id, self.team, job)]);
        id
    }

    pub(crate) fn destroy(&mut self) {
        let app = self.get::<App>(self.app).unwrap();
        let spec = App { lifecycle: AppLifecycle::Destroying, ..app.spec.clone() };
        self.commit(Principal::System, [Change::update(self.app, spec)]);
    }
}
