use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{any_object, fields, id, label, member, name, object_id, principal, seat, span, text, time};
use crate::change::{Batch, Change, Expectation, Idempotency, Verb};
use crate::election::{Campaign, Epoch, Lease};
use crate::error::{Conflict, StoreError};
use crate::noun::{Liveness, Object, Scheduling, TokenHash, with_nouns};
use crate::port::{Archived, AuditRecord, Beat, Committed, Event, Measure, Page, Sample, Seen, Subject, TailError};
use crate::revision::Revision;
use crate::rule::{Claim, Denial, Invalid, Misfit, OverQuota};
use crate::value::Dimension;
use crate::wire::v1::peer::{Beating, Candidacy, Line, Resignation};

macro_rules! changes {
    ($($noun:ident, $status:ty, $text:literal, $table:ident;)*) => {
        fn change_of(object: &Object, verb: Verb) -> Change {
            match object {
                $(Object::$noun(stored) => match verb {
                    Verb::Create => Change::create(stored.id, stored.team, stored.spec.clone()),
                    Verb::Update => Change::update(stored.id, stored.spec.clone()),
                    Verb::Report => Change::report(stored.id, stored.status.clone()),
                    Verb::Remove => Change::remove(stored.id),
                },)*
            }
        }
    };
}

with_nouns!(changes);

fn verb() -> impl Strategy<Value = Verb> {
    select(vec![Verb::Create, Verb::Update, Verb::Report, Verb::Remove])
}

fn change() -> impl Strategy<Value = Change> {
    (any_object(), verb()).prop_map(|(object, verb)| change_of(&object, verb))
}

fn revision() -> impl Strategy<Value = Revision> {
    any::<u64>().prop_map(Revision::new)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u64>().prop_map(Epoch)
}

fn expectation() -> impl Strategy<Value = Expectation> {
    prop_oneof![
        (object_id(), revision()).prop_map(|(id, version)| Expectation::Spec(id, version)),
        (object_id(), revision()).prop_map(|(id, version)| Expectation::Status(id, version)),
        object_id().prop_map(Expectation::Exists),
        object_id().prop_map(Expectation::Absent),
    ]
}

pub(in crate::wire) fn batch() -> impl Strategy<Value = Batch> {
    fields!(Batch {
        principal: principal(),
        expectations: vec(expectation(), 0..4),
        changes: vec(change(), 0..4),
        idempotency: of(fields!(Idempotency { key: text(), fingerprint: any::<[u8; 32]>() })),
        received: Just(Vec::new()),
    })
}

pub(in crate::wire) fn committed() -> impl Strategy<Value = Committed> {
    fields!(Committed { revision: revision(), objects: vec(object_id(), 0..4), replayed: any::<bool>() })
}

fn claim() -> impl Strategy<Value = Claim> {
    prop_oneof![
        label().prop_map(Claim::AppName),
        (id(), any::<u64>()).prop_map(|(app, number)| Claim::ReleaseNumber(app, number)),
        (id(), any::<u64>()).prop_map(|(app, number)| Claim::BuildNumber(app, number)),
        id().prop_map(Claim::Formation),
        id().prop_map(Claim::OpenDeployment),
        (id(), label(), any::<u32>()).prop_map(|(release, process, n)| Claim::Instance(release, process, n)),
        (name("[a-z]{1,9}\\.example"), name("/[a-z]{0,9}")).prop_map(|(host, path)| Claim::HttpRoute(host, path)),
        any::<u16>().prop_map(Claim::TcpRoute),
        name("[a-z]{1,9}\\.example").prop_map(Claim::CertificateHost),
        label().prop_map(Claim::NodeName),
        label().prop_map(Claim::RouterName),
        (id(), label()).prop_map(|(app, name)| Claim::VolumeName(app, name)),
        label().prop_map(Claim::ProviderName),
        name("[A-Za-z0-9]{1,9}").prop_map(Claim::UserName),
        label().prop_map(Claim::TeamName),
        (id(), id()).prop_map(|(user, team)| Claim::Grant(user, team)),
        any::<[u8; 32]>().prop_map(|hash| Claim::TokenHash(TokenHash(hash))),
        id().prop_map(Claim::Quota),
    ]
}

fn misfit() -> impl Strategy<Value = Misfit> {
    let liveness = select(vec![Liveness::Unseen, Liveness::Ready, Liveness::Suspect, Liveness::Lost]);
    let scheduling = select(vec![Scheduling::Open, Scheduling::Cordoned, Scheduling::Draining]);
    prop_oneof![
        liveness.prop_map(Misfit::NotReady),
        scheduling.prop_map(Misfit::Closed),
        fields!(Misfit::TooLittle {
            dimension: select(Dimension::ALL.to_vec()),
            free: any::<u64>(),
            asked: any::<u64>(),
        }),
        fields!(Misfit::TooFewGpus { free: any::<u16>(), asked: any::<u16>(), millis: any::<u16>() }),
    ]
}

fn over_quota() -> impl Strategy<Value = OverQuota> {
    fields!(OverQuota {
        what: text().prop_map(Into::into),
        limit: any::<u64>(),
        used: any::<u64>(),
        wanted: any::<u64>(),
    })
}

pub(in crate::wire) fn conflict() -> impl Strategy<Value = Conflict> {
    prop_oneof![
        fields!(Conflict::SpecVersion { id: object_id(), expected: revision(), actual: revision() }),
        fields!(Conflict::StatusVersion { id: object_id(), expected: revision(), actual: revision() }),
        object_id().prop_map(Conflict::Exists),
        fields!(Conflict::Claimed { claim: claim(), holder: object_id() }),
        fields!(Conflict::HostTaken { host: name("[a-z]{1,9}\\.example") }),
        fields!(Conflict::InUse { id: object_id(), by: object_id() }),
        fields!(Conflict::Deposed { epoch: epoch(), current: epoch() }),
        fields!(Conflict::DoesNotFit { id: object_id(), node: id(), misfit: misfit() }),
        fields!(Conflict::OverQuota { team: id(), over: over_quota() }),
        fields!(Conflict::KeyReused { key: text() }),
        fields!(Conflict::Unknown { text: text() }),
    ]
}

pub(in crate::wire) fn denial() -> impl Strategy<Value = Denial> {
    prop_oneof![
        Just(Denial::UnknownToken),
        Just(Denial::ExpiredToken),
        Just(Denial::Anonymous),
        fields!(Denial::Forbidden { verb: verb(), id: object_id(), reason: text().prop_map(Into::into) }),
        fields!(Denial::Unreadable { reason: text().prop_map(Into::into) }),
        fields!(Denial::Reserved { reason: text().prop_map(Into::into) }),
    ]
}

pub(in crate::wire) fn store_error() -> impl Strategy<Value = StoreError> {
    let operation = || Just("commit");
    let invalid = fields!(Invalid { field: text(), problem: text().prop_map(Into::into) });
    prop_oneof![
        fields!(StoreError::NotFound { operation: operation(), id: object_id() }),
        fields!(StoreError::Conflict { operation: operation(), conflict: conflict() }),
        fields!(StoreError::Invalid { operation: operation(), what: text(), invalid: invalid }),
        fields!(StoreError::NotAllowed { operation: operation(), denial: denial() }),
        fields!(StoreError::Unavailable { operation: operation(), source: text().prop_map(Into::into) }),
        fields!(StoreError::Internal { operation: operation(), source: text().prop_map(Into::into) }),
    ]
}

pub(in crate::wire) fn line() -> impl Strategy<Value = Line> {
    prop_oneof![
        fields!(Line::Snapshot { revision: revision(), at: time(), objects: any::<u64>() }),
        fields!(Line::Commit { revision: revision(), at: time(), events: any::<u64>() }),
        any_object().prop_map(|object| Line::Event(Event::Put(object))),
        object_id().prop_map(|id| Line::Event(Event::Removed(id))),
        text().prop_map(Line::Opaque),
        Just(()).prop_map(|()| Line::Beat),
        revision().prop_map(|after| Line::End(TailError::Compacted { after })),
        text().prop_map(|source| Line::End(TailError::Unavailable(source.into()))),
        denial().prop_map(|denial| Line::End(TailError::NotAllowed(denial))),
    ]
}

fn lease() -> impl Strategy<Value = Lease> {
    fields!(Lease { holder: text(), epoch: epoch(), until: time() })
}

pub(in crate::wire) fn campaign() -> impl Strategy<Value = Campaign> {
    prop_oneof![lease().prop_map(Campaign::Won), lease().prop_map(Campaign::Held)]
}

pub(in crate::wire) fn candidacy() -> impl Strategy<Value = Candidacy> {
    fields!(Candidacy { seat: seat(), holder: text(), term: span() })
}

pub(in crate::wire) fn resignation() -> impl Strategy<Value = Resignation> {
    fields!(Resignation { seat: seat(), epoch: epoch() })
}

fn beat() -> impl Strategy<Value = Beat> {
    fields!(Beat { incarnation: text(), acknowledged: revision() })
}

pub(in crate::wire) fn beating() -> impl Strategy<Value = Beating> {
    fields!(Beating { member: member(), beat: beat(), lease: span() })
}

fn page<T: std::fmt::Debug>(entry: impl Strategy<Value = T>) -> impl Strategy<Value = Page<T>> {
    let next = of((revision(), any::<u32>()).prop_map(|place| crate::port::Cursor(Some(place))));
    fields!(Page { entries: vec(entry, 0..4), next: next })
}

pub(in crate::wire) fn seen() -> impl Strategy<Value = Page<Seen>> {
    page(fields!(Seen { member: member(), beat: beat(), at: time(), until: time() }))
}

pub(in crate::wire) fn archived() -> impl Strategy<Value = Page<Archived>> {
    page(fields!(Archived { revision: revision(), at: time(), object: any_object() }))
}

pub(in crate::wire) fn audit() -> impl Strategy<Value = Page<AuditRecord>> {
    page(fields!(AuditRecord {
        revision: revision(),
        at: time(),
        principal: principal(),
        objects: vec(object_id(), 0..4),
    }))
}

pub(in crate::wire) fn measure() -> impl Strategy<Value = Measure> {
    select(vec![
        Measure::CpuMillis,
        Measure::MemoryBytes,
        Measure::InFlight,
        Measure::RequestRate,
        Measure::ErrorRate,
        Measure::LatencyP95Millis,
    ])
}

pub(in crate::wire) fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let subject = fields!(Subject { app: id(), process: label(), release: id(), job: of(id()) });
    let value = any::<f64>().prop_filter("JSON has no word for it", |value| value.is_finite());
    vec(fields!(Sample { subject: subject, measure: measure(), at: time(), value: value }), 0..4)
}
