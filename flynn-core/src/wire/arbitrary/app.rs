use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{digest, env, fields, id, label, name, resources, sealed, span, text, time};
use crate::name::{AppName, HostPattern, LabelKey, LabelValue, PathPrefix, ProcessName};
use crate::noun::{
    Affinity, App, AppLifecycle, AppStatus, Build, BuildIntent, BuildOutput, BuildState, BuildStatus, Certificate,
    CertificateSource, CertificateStatus, DeployIntent, DeployMode, DeployPolicy, Deployment, DeploymentState,
    DeploymentStatus, Desired, Entry, Exit, Formation, Health, HealthCheck, Job, JobState, JobStatus, KeyPair,
    LabelConstraint, LabelTest, LogDrain, OnFailure, OneOffInput, Placement, PlainHttp, Probe, ProcessType,
    ProxyProtocol, Purpose, Release, ReleaseCause, Route, Scale, Share, Strategy as Replacing, Terminal, Traffic,
    Volume, VolumeStatus, Workload,
};

pub(super) fn app() -> impl Strategy<Value = App> {
    fields!(App {
        name: label(),
        lifecycle: select(vec![AppLifecycle::Active, AppLifecycle::Destroying]),
        traffic: select(vec![Traffic::Serve, Traffic::Maintenance]),
        env: env(),
        deploys: of(fields!(DeployMode { strategy: strategy(), policy: policy() })),
    })
}

pub(super) fn app_status() -> impl Strategy<Value = AppStatus> {
    fields!(AppStatus { release: of(id()) })
}

pub(super) fn build() -> impl Strategy<Value = Build> {
    fields!(Build {
        app: id(),
        number: any::<u64>(),
        source: digest(),
        commit: of(text()),
        branch: of(text()),
        resources: resources(),
        node: of(id()),
        desired: select(vec![BuildIntent::Finish, BuildIntent::Cancel]),
    })
}

pub(super) fn build_status() -> impl Strategy<Value = BuildStatus> {
    let state = prop_oneof![
        fields!(BuildState::Pending { reason: text() }),
        Just(BuildState::Assigned),
        Just(BuildState::Running),
        fields!(BuildOutput { image: digest(), processes: processes() }).prop_map(BuildState::Succeeded),
        fields!(BuildState::Failed { step: text(), reason: text() }),
        Just(BuildState::Cancelled),
        fields!(BuildState::Lost { reason: text() }),
    ];
    fields!(BuildStatus { state: state, since: time() })
}

pub(super) fn certificate() -> impl Strategy<Value = Certificate> {
    let source = prop_oneof![key_pair().prop_map(CertificateSource::Given), Just(CertificateSource::Acme)];
    fields!(Certificate { app: id(), hosts: btree_set(host(), 0..4), source: source })
}

pub(super) fn certificate_status() -> impl Strategy<Value = CertificateStatus> {
    fields!(CertificateStatus { issued: of(key_pair()), not_after: of(time()), problem: of(text()) })
}

fn strategy() -> impl Strategy<Value = Replacing> {
    prop_oneof![
        Just(Replacing::AllAtOnce),
        Just(Replacing::OneByOne),
        Just(Replacing::OneDownOneUp),
        fields!(Replacing::InBatches { size: share() }),
        fields!(Replacing::External { driver: text() }),
    ]
}

fn policy() -> impl Strategy<Value = DeployPolicy> {
    fields!(DeployPolicy {
        start_deadline: span(),
        progress_deadline: span(),
        healthy_for: span(),
        max_extra: of(share()),
        max_missing: of(share()),
        on_failure: select(vec![OnFailure::RollBack, OnFailure::Pause, OnFailure::Keep]),
    })
}

pub(super) fn deployment() -> impl Strategy<Value = Deployment> {
    let desired = select(vec![DeployIntent::Proceed, DeployIntent::Pause, DeployIntent::Abort]);
    fields!(Deployment {
        app: id(),
        from: of(id()),
        to: id(),
        strategy: strategy(),
        policy: policy(),
        desired: desired
    })
}

fn share() -> impl Strategy<Value = Share> {
    prop_oneof![any::<u32>().prop_map(Share::Count), any::<u8>().prop_map(Share::Percent)]
}

pub(super) fn deployment_status() -> impl Strategy<Value = DeploymentStatus> {
    let state = prop_oneof![
        Just(DeploymentState::Pending),
        Just(DeploymentState::Running),
        fields!(DeploymentState::Paused { reason: text() }),
        fields!(DeploymentState::RollingBack { reason: text() }),
        Just(DeploymentState::Done),
        fields!(DeploymentState::Failed { reason: text() }),
    ];
    fields!(DeploymentStatus {
        state: state,
        step: any::<u32>(),
        weight: any::<u8>(),
        progressed_at: time(),
        prepared: any::<bool>()
    })
}

pub(super) fn formation() -> impl Strategy<Value = Formation> {
    let (key, value) = (
        || name::<LabelKey>("[a-z]([a-z./_-]{0,9}[a-z0-9])?"),
        || name::<LabelValue>("([a-z0-9]([a-z._-]{0,9}[a-z])?)?"),
    );
    let test = prop_oneof![
        value().prop_map(LabelTest::Is),
        value().prop_map(LabelTest::IsNot),
        vec(value(), 0..3).prop_map(LabelTest::In),
    ];
    let constraint = fields!(LabelConstraint { label: key(), test: test });
    let placement =
        fields!(Placement { constraints: vec(constraint, 0..3), spread: of(key()), most_per_node: of(any::<u32>()) });
    let scale = fields!(Scale { count: any::<u32>(), resources: resources(), placement: placement });
    fields!(Formation { app: id(), processes: btree_map(process_name(), scale, 0..4) })
}

pub(super) fn job() -> impl Strategy<Value = Job> {
    let purpose = prop_oneof![
        fields!(Purpose::Service { process: process_name(), instance: any::<u32>(), deployment: of(id()) }),
        fields!(Purpose::OneOff {
            terminal: select(vec![Terminal::None, Terminal::Pty]),
            input: select(vec![OneOffInput::Attached, OneOffInput::Closed]),
        }),
    ];
    let workload = fields!(Workload {
        app: app_name(),
        release: any::<u64>(),
        image: digest(),
        process: process_type(),
        env: env(),
    });
    fields!(Job {
        app: id(),
        release: id(),
        purpose: purpose,
        workload: workload.prop_map(Arc::new),
        resources: resources(),
        attempt: any::<u32>(),
        not_before: time(),
        node: of(id()),
        desired: select(vec![Desired::Up, Desired::Replace, Desired::Drain, Desired::Down]),
    })
}

pub(super) fn job_status() -> impl Strategy<Value = JobStatus> {
    let address = (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from);
    let health = select(vec![Health::Healthy, Health::Unhealthy]);
    let exit = prop_oneof![
        any::<i32>().prop_map(Exit::Code),
        any::<i32>().prop_map(Exit::Signal),
        Just(Exit::OutOfMemory),
        fields!(Exit::OutOfDisk { reason: text() }),
        fields!(Exit::NotStarted { reason: text() }),
    ];
    let state = prop_oneof![
        fields!(JobState::Pending { reason: text() }),
        Just(JobState::Assigned),
        Just(JobState::Starting),
        fields!(JobState::Up { address: of(address), health: health }),
        Just(JobState::Stopping),
        exit.prop_map(JobState::Exited),
        fields!(JobState::Lost { reason: text() }),
    ];
    fields!(JobStatus { state: state, since: time() })
}

pub(super) fn log_drain() -> impl Strategy<Value = LogDrain> {
    fields!(LogDrain { app: id(), url: sealed() })
}

pub(super) fn release() -> impl Strategy<Value = Release> {
    let cause = prop_oneof![
        id().prop_map(ReleaseCause::Build),
        text().prop_map(ReleaseCause::Config),
        any::<u64>().prop_map(ReleaseCause::Rollback),
        text().prop_map(ReleaseCause::Image),
    ];
    fields!(Release {
        app: id(),
        number: any::<u64>(),
        image: digest(),
        env: env(),
        processes: processes(),
        cause: cause,
        commit: of(text()),
        branch: of(text()),
    })
}

pub(super) fn route() -> impl Strategy<Value = Route> {
    let entry = prop_oneof![
        fields!(Entry::Http {
            host: host(),
            path: path(),
            affinity: select(vec![Affinity::None, Affinity::Sticky]),
            plain: select(vec![PlainHttp::Serve, PlainHttp::Redirect]),
        }),
        fields!(Entry::Tcp {
            port: any::<u16>(),
            proxy_protocol: select(vec![ProxyProtocol::None, ProxyProtocol::V1, ProxyProtocol::V2]),
        }),
    ];
    fields!(Route { app: id(), process: process_name(), entry: entry })
}

pub(super) fn volume() -> impl Strategy<Value = Volume> {
    fields!(Volume {
        app: id(),
        name: label(),
        process: process_name(),
        path: path(),
        bytes: any::<u64>(),
        node: of(id()),
    })
}

pub(super) fn volume_status() -> impl Strategy<Value = VolumeStatus> {
    select(vec![VolumeStatus::Pending, VolumeStatus::Ready])
}

fn processes() -> impl Strategy<Value = std::collections::BTreeMap<ProcessName, ProcessType>> {
    btree_map(process_name(), process_type(), 0..3)
}

fn process_type() -> impl Strategy<Value = ProcessType> {
    let probe = prop_oneof![Just(Probe::Tcp), fields!(Probe::Http { path: path() })];
    let check = fields!(HealthCheck { probe: probe, interval: span(), timeout: span(), threshold: any::<u32>() });
    fields!(ProcessType { command: vec(text(), 0..4), port: of(any::<u16>()), check: of(check), stop_timeout: span() })
}

fn key_pair() -> impl Strategy<Value = KeyPair> {
    fields!(KeyPair { chain: text(), key: sealed() })
}

fn app_name() -> impl Strategy<Value = AppName> {
    name("[a-z]([a-z0-9-]{0,20}[a-z0-9])?")
}

fn process_name() -> impl Strategy<Value = ProcessName> {
    name("[a-z][a-z0-9_-]{0,29}")
}

fn host() -> impl Strategy<Value = HostPattern> {
    name(r"(\*\.)?[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?(\.[a-z]{1,8}){1,3}")
}

fn path() -> impl Strategy<Value = PathPrefix> {
    name("/|(/[a-zA-Z0-9_~!$&'()*+,;=:@-][a-zA-Z0-9._~-]{0,7}){1,4}")
}
