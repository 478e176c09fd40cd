use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::{State, judge};
use crate::change::{Batch, Change};
use crate::error::StoreError;
use crate::id::Id;
use crate::name::{AppName, HostPattern, NodeName, ProcessName, TeamName};
use crate::noun::{
    App, Desired, Entry, Exit, Formation, Job, JobState, JobStatus, Liveness, Node, NodeStatus, Object, ProcessType,
    Purpose, Quota, Release, ReleaseCause, Route, Scale, Team, TeamId, Workload,
};
use crate::retention::Retention;
use crate::rule::Principal;
use crate::time::Timestamp;
use crate::value::{Digest, Env, Resources};

/// A step that may or may not be allowed. Numbers name objects; few of them, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    CreateTeam(u8),
    CreateApp { app: u8, team: u8, name: u8 },
    RenameApp { app: u8, name: u8 },
    CreateRelease { app: u8, number: u8 },
    CreateJob { job: u8, app: u8, instance: u8, cpu: u8 },
    Place { job: u8, node: u8 },
    Exit { job: u8 },
    CreateNode { node: u8, cpu: u8 },
    Scale { app: u8, count: u8 },
    CreateRoute { route: u8, app: u8, host: u8 },
    Quota { team: u8, instances: u8 },
    Remove { kind: u8, number: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let small = || 0..4_u8;
    let step = prop_oneof![
        small().prop_map(Step::CreateTeam),
        (small(), small(), small()).prop_map(|(app, team, name)| Step::CreateApp { app, team, name }),
        (small(), small()).prop_map(|(app, name)| Step::RenameApp { app, name }),
        (small(), small()).prop_map(|(app, number)| Step::CreateRelease { app, number }),
        (0..8_u8, small(), small(), small()).prop_map(|(job, app, instance, cpu)| Step::CreateJob {
            job,
            app,
            instance,
            cpu
        }),
        (0..8_u8, 0..2_u8).prop_map(|(job, node)| Step::Place { job, node }),
        (0..8_u8).prop_map(|job| Step::Exit { job }),
        (0..2_u8, small()).prop_map(|(node, cpu)| Step::CreateNode { node, cpu }),
        (small(), small()).prop_map(|(app, count)| Step::Scale { app, count }),
        (small(), small(), small()).prop_map(|(route, app, host)| Step::CreateRoute { route, app, host }),
        (small(), small()).prop_map(|(team, instances)| Step::Quota { team, instances }),
        (0..8_u8, 0..8_u8).prop_map(|(kind, number)| Step::Remove { kind, number }),
    ];
    prop::collection::vec(prop::collection::vec(step, 1..5), 1..80)
}

fn id<N>(number: u8) -> Id<N> {
    Id::from_uuid(Uuid::from_u128(u128::from(number) + 1))
}

fn process() -> ProcessName {
    ProcessName::new("web").unwrap()
}

fn cpu(units: u8) -> Resources {
    Resources { cpu_millis: u64::from(units) * 100, ..Resources::ZERO }
}

fn changes(step: &Step, state: &State) -> Vec<Change> {
    let team_of = |app: u8| state.objects.get::<App>(id(app)).map_or(id(0), |app| app.team);
    match *step {
        Step::CreateTeam(team) => {
            let name = TeamName::new(&format!("t{team}")).unwrap();
            vec![Change::create(id::<Team>(team), TeamId::SYSTEM, Team { name })]
        }
        Step::CreateApp { app, team, name } => {
            vec![Change::create(id(app), id(team), App::new(AppName::new(&format!("a{name}")).unwrap()))]
        }
        Step::RenameApp { app, name } => {
            vec![Change::update(id(app), App::new(AppName::new(&format!("a{name}")).unwrap()))]
        }
        Step::CreateRelease { app, number } => {
            let release = Release {
                app: id(app),
                number: u64::from(number),
                image: Digest::from_bytes([0; 32]),
                env: Env::new(),
                processes: BTreeMap::new(),
                cause: ReleaseCause::Rollback(1),
                commit: None,
                branch: None,
            };
            vec![Change::create(id(app * 4 + number), team_of(app), release)]
        }
        Step::CreateJob { job, app, instance, cpu: units } => {
            let process_type = ProcessType::new(vec!["run".into()]);
            let spec = Job {
                app: id(app),
                release: id(app * 4 + 1),
                purpose: Purpose::Service { process: process(), instance: u32::from(instance), deployment: None },
                workload: Arc::new(Workload {
                    app: AppName::new("app").unwrap(),
                    release: 1,
                    image: Digest::from_bytes([0; 32]),
                    process: process_type,
                    env: Env::new(),
                }),
                resources: cpu(units),
                attempt: 0,
                not_before: Timestamp::EPOCH,
                node: None,
                desired: Desired::Up,
            };
            vec![Change::create(id(job), team_of(app), spec)]
        }
        Step::Place { job, node } => match state.objects.get::<Job>(id(job)) {
            None => vec![],
            Some(stored) => {
                let status = JobStatus { state: JobState::Assigned, since: Timestamp::EPOCH };
                let placed = Job { node: Some(id(node)), ..stored.spec.clone() };
                vec![Change::update(id(job), placed), Change::report(id::<Job>(job), status)]
            }
        },
        Step::Exit { job } => {
            let status = JobStatus { state: JobState::Exited(Exit::Code(0)), since: Timestamp::EPOCH };
            vec![Change::report(id::<Job>(job), status)]
        }
        Step::CreateNode { node, cpu: units } => {
            let status = NodeStatus { liveness: Liveness::Ready, capacity: cpu(units), ..NodeStatus::default() };
            let spec = Node::new(NodeName::new(&format!("n{node}")).unwrap());
            vec![Change::create(id(node), TeamId::SYSTEM, spec), Change::report(id::<Node>(node), status)]
        }
        Step::Scale { app, count } => {
            let scale = Scale::of(u32::from(count), cpu(1));
            let formation = Formation { app: id(app), processes: [(process(), scale)].into() };
            match state.objects.get::<Formation>(id(app)) {
                Some(_) => vec![Change::update(id(app), formation)],
                None => vec![Change::create(id(app), team_of(app), formation)],
            }
        }
        Step::CreateRoute { route, app, host } => {
            let entry = Entry::host(HostPattern::new(&format!("h{host}.example")).unwrap());
            vec![Change::create(id(route), team_of(app), Route { app: id(app), process: process(), entry })]
        }
        Step::Quota { team, instances } => {
            let quota = Quota { instances: Some(u64::from(instances)), ..Quota::unlimited(id(team)) };
            match state.objects.get::<Quota>(id(team)) {
                Some(_) => vec![Change::update(id(team), quota)],
                None => vec![Change::create(id(team), TeamId::SYSTEM, quota)],
            }
        }
        Step::Remove { kind, number } => vec![match kind {
            0 => Change::remove(id::<Team>(number)),
            1 => Change::remove(id::<App>(number)),
            2 => Change::remove(id::<Release>(number)),
            3 => Change::remove(id::<Node>(number)),
            4 => Change::remove(id::<Formation>(number)),
            5 => Change::remove(id::<Route>(number)),
            6 => Change::remove(id::<Quota>(number)),
            _ => Change::remove(id::<Job>(number)),
        }],
    }
}

/// Nothing on a node beyond what it has, and nothing that hangs in the air.
fn check(state: &State) {
    assert!(state.index.is_consistent_with(&state.objects), "the index is not what the objects say");
    for node in state.objects.iter::<Node>() {
        let load = state.index.load(node.id);
        let capacity = node.status.capacity;
        assert!(load.cpu_millis <= capacity.cpu_millis, "{} is overfull: {load:?} of {capacity:?}", node.spec.name);
    }
    for object in state.objects.all() {
        for needed in super::index::references(object.team(), &object.footprint()) {
            assert!(state.objects.contains(needed), "{} needs {needed}", object.id());
        }
        assert!(object.spec_version() <= state.revision && object.status_version() <= state.revision);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_asked_the_rules_hold(batches in steps()) {
        let mut state = State::default();
        for steps in batches {
            let mut batch = Batch::new(Principal::System);
            batch.changes = steps.iter().flat_map(|step| changes(step, &state)).collect();
            match judge(&state, &batch, &Retention::default(), Timestamp::EPOCH) {
                Ok(verdict) => {
                    let grown = if verdict.entry.is_some() { state.revision.next() } else { state.revision };
                    prop_assert_eq!(verdict.state.revision, grown);
                    prop_assert_eq!(verdict.entry.is_some(), verdict.state.objects != state.objects);
                    state = verdict.state;
                }
                Err(StoreError::Internal { source, .. }) => panic!("{source}"),
                Err(_) => {}
            }
            check(&state);
        }
    }

    #[test]
    fn the_entry_leads_from_the_one_state_to_the_other(batches in steps()) {
        let mut state = State::default();
        for steps in batches {
            let mut batch = Batch::new(Principal::System);
            batch.changes = steps.iter().flat_map(|step| changes(step, &state)).collect();
            let Ok(verdict) = judge(&state, &batch, &Retention::default(), Timestamp::EPOCH) else { continue };
            let mut replica = state.objects.clone();
            for transition in verdict.entry.iter().flat_map(|entry| &entry.transitions) {
                prop_assert_eq!(transition.was.is_some(), state.objects.contains(transition.id));
                match &transition.is {
                    Some(object) => drop(replica.insert(Object::clone(object))),
                    None => drop(replica.remove(transition.id)),
                }
            }
            prop_assert_eq!(&replica, &verdict.state.objects);
            state = verdict.state;
        }
    }
}
