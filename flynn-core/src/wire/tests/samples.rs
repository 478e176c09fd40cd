//! The objects of the fixtures: each field set.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::id::Id;
use crate::noun::*;
use crate::revision::Revision;
use crate::time::Timestamp;
use crate::value::{Digest, Env, KeyId, Resources, Sealed};

/// The object whose document is the fixture of `kind`.
pub(in crate::wire) fn sample(kind: Kind) -> Object {
    match kind {
        Kind::Addon => stored(
            Addon { provider: id(0x10), plan: "small".into(), apps: BTreeSet::from([id(0x20), id(0x21)]) },
            AddonStatus { external: Some("pg-7".into()), env: env(), problem: Some("quota used up".into()) },
        ),
        Kind::App => stored(
            App {
                name: parse("shop"),
                lifecycle: AppLifecycle::Active,
                traffic: Traffic::Maintenance,
                env: env(),
                deploys: Some(DeployMode {
                    strategy: Strategy::InBatches { size: Share::Count(2) },
                    policy: DeployPolicy { max_missing: Some(Share::Percent(10)), ..DeployPolicy::default() },
                }),
            },
            AppStatus { release: Some(id(0x30)) },
        ),
        Kind::Build => stored(
            Build {
                app: id(0x20),
                number: 12,
                source: digest(1),
                commit: Some("4f2d1c0".into()),
                branch: Some("main".into()),
                resources: resources(1),
                node: Some(id(0x40)),
                desired: BuildIntent::Finish,
            },
            BuildStatus {
                state: BuildState::Succeeded(BuildOutput { image: digest(2), processes: processes() }),
                since: at(9),
            },
        ),
        Kind::Certificate => stored(
            Certificate {
                app: id(0x20),
                hosts: BTreeSet::from([parse("shop.example.com"), parse("*.shop.example.com")]),
                source: CertificateSource::Given(key_pair("given")),
            },
            CertificateStatus {
                issued: Some(key_pair("issued")),
                not_after: Some(at(90)),
                problem: Some("rate limited".into()),
            },
        ),
        Kind::Deployment => stored(
            Deployment {
                app: id(0x20),
                from: Some(id(0x30)),
                to: id(0x31),
                strategy: Strategy::External { driver: "canary".into() },
                policy: DeployPolicy {
                    start_deadline: Duration::from_secs(45),
                    progress_deadline: Duration::from_millis(300_500),
                    healthy_for: Duration::from_secs(10),
                    max_extra: Some(Share::Percent(25)),
                    max_missing: Some(Share::Count(0)),
                    on_failure: OnFailure::Pause,
                },
                desired: DeployIntent::Proceed,
            },
            DeploymentStatus {
                state: DeploymentState::Paused { reason: "an instance crashed".into() },
                step: 3,
                weight: 25,
                progressed_at: at(8),
                prepared: true,
            },
        ),
        Kind::Formation => stored(
            Formation {
                app: id(0x20),
                processes: BTreeMap::from([
                    (parse("web"), Scale { count: 3, resources: resources(2), placement: placement() }),
                    (parse("worker"), Scale::of(1, resources(1))),
                ]),
            },
            (),
        ),
        Kind::Grant => stored(Grant { user: id(0x50), team: id(0x01), role: Role::Developer }, ()),
        Kind::Job => stored(
            Job {
                app: id(0x20),
                release: id(0x31),
                purpose: Purpose::Service { process: parse("web"), instance: 2, deployment: Some(id(0x60)) },
                workload: Arc::new(Workload {
                    app: parse("shop"),
                    release: 3,
                    image: digest(2),
                    process: process_type(),
                    env: env(),
                }),
                resources: resources(2),
                attempt: 1,
                not_before: at(6),
                node: Some(id(0x40)),
                desired: Desired::Up,
            },
            JobStatus {
                state: JobState::Up { address: Some("10.1.2.3:8080".parse().unwrap()), health: Health::Healthy },
                since: at(7),
            },
        ),
        Kind::LogDrain => stored(LogDrain { app: id(0x20), url: sealed(3) }, ()),
        Kind::Node => stored(
            Node {
                name: parse("n1.rack2.example"),
                labels: BTreeMap::from([(parse("example.com/zone"), parse("eu-1")), (parse("spare"), parse(""))]),
                reserved: resources(3),
                scheduling: Scheduling::Cordoned,
            },
            NodeStatus {
                liveness: Liveness::Ready,
                capacity: resources(9),
                address: Some("fd00::1".parse().unwrap()),
                version: "0.1.0".into(),
                boot: "c0ffee".into(),
            },
        ),
        Kind::Provider => stored(
            Provider {
                name: parse("postgres"),
                url: "https://postgres.example.com/".into(),
                credential: Some(sealed(4)),
            },
            (),
        ),
        Kind::Quota => stored(
            Quota {
                team: id(0x01),
                apps: Some(10),
                routes: Some(20),
                instances: Some(30),
                cpu_millis: Some(40_000),
                memory_bytes: Some(50 << 30),
                volume_bytes: Some(60 << 30),
                instance_cpu_millis: Some(4_000),
                instance_memory_bytes: Some(8 << 30),
                instance_disk_bytes: Some(9 << 30),
                instance_pids: Some(1_000),
            },
            (),
        ),
        Kind::Release => stored(
            Release {
                app: id(0x20),
                number: 5,
                image: digest(2),
                env: env(),
                processes: processes(),
                cause: ReleaseCause::Build(id(0x70)),
                commit: Some("4f2d1c0".into()),
                branch: Some("main".into()),
            },
            (),
        ),
        Kind::Route => stored(
            Route {
                app: id(0x20),
                process: parse("web"),
                entry: Entry::Http {
                    host: parse("shop.example.com"),
                    path: parse("/api"),
                    affinity: Affinity::Sticky,
                    plain: PlainHttp::Redirect,
                },
            },
            (),
        ),
        Kind::Router => stored(
            Router { name: parse("edge-1") },
            RouterStatus { liveness: Liveness::Suspect, version: "0.1.0".into() },
        ),
        Kind::Team => stored(Team { name: parse("bakery") }, ()),
        Kind::Token => stored(
            Token {
                hash: TokenHash(std::array::from_fn(|i| i as u8 * 7)),
                scope: TokenScope::App(id(0x50), id(0x20)),
                label: "laptop \"blue\"".into(),
                expires: Some(at(99)),
            },
            (),
        ),
        Kind::User => stored(User { name: parse("ada@example.com"), standing: Standing::Admin }, ()),
        Kind::Volume => stored(
            Volume {
                app: id(0x20),
                name: parse("data"),
                process: parse("web"),
                path: parse("/var/lib/shop"),
                bytes: 1 << 30,
                node: Some(id(0x40)),
            },
            VolumeStatus::Ready,
        ),
    }
}

fn stored<N: Noun>(spec: N, status: N::Status) -> Object
where
    Object: From<Stored<N>>,
{
    let [spec_version, status_version] = [41, 43].map(Revision::new);
    Stored { id: id(0xff), team: id(0x01), spec, status, spec_version, status_version, created_at: at(5) }.into()
}

fn id<N>(number: u128) -> Id<N> {
    Id::from_uuid(Uuid::from_u128(0x0190_a3c4_5b6d_7e8f_9a0b_0000_0000_0000 | number))
}

fn parse<T: FromStr<Err: fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + second * 1_000)
}

fn digest(seed: u8) -> Digest {
    Digest::from_bytes([seed; 32])
}

fn sealed(seed: u8) -> Sealed {
    Sealed { key: KeyId("2024-1".into()), bytes: vec![0, seed, 0xff] }
}

fn env() -> Env {
    Env::from([(parse("DATABASE_URL"), sealed(1)), (parse("_x"), sealed(2))])
}

fn key_pair(chain: &str) -> KeyPair {
    KeyPair { chain: format!("-----BEGIN CERTIFICATE-----\n{chain}\n"), key: sealed(5) }
}

fn resources(factor: u64) -> Resources {
    Resources { cpu_millis: 250, memory_bytes: 64 << 20, disk_bytes: 1 << 30, pids: 100 }.times(factor)
}

fn placement() -> Placement {
    let constraint = |label, test| LabelConstraint { label: parse(label), test };
    Placement {
        constraints: vec![
            constraint("example.com/zone", LabelTest::In(vec![parse("eu-1"), parse("eu-2")])),
            constraint("disk", LabelTest::Is(parse("ssd"))),
            constraint("spot", LabelTest::IsNot(parse("yes"))),
        ],
        spread: Some(parse("example.com/zone")),
        most_per_node: Some(2),
    }
}

fn process_type() -> ProcessType {
    ProcessType {
        command: vec!["/bin/shop".into(), "--listen".into()],
        port: Some(8080),
        check: Some(HealthCheck {
            probe: Probe::Http { path: parse("/health") },
            interval: Duration::from_millis(2_500),
            timeout: Duration::from_secs(1),
            threshold: 3,
        }),
        stop_timeout: Duration::from_secs(30),
    }
}

fn processes() -> BTreeMap<crate::name::ProcessName, ProcessType> {
    BTreeMap::from([(parse("web"), process_type())])
}
