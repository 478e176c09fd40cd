//! The messages of the fixtures.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::super::{Beating, Candidacy, Line, Resignation, Whoami, encode, encode_page};
use crate::change::{Batch, Change, Expectation};
use crate::election::{Campaign, Epoch, Lease, Seat};
use crate::error::{Conflict, StoreError};
use crate::id::Id;
use crate::noun::{App, AppId, AppStatus, JobId, Kind, ObjectId, Team, TeamId};
use crate::port::{
    Archived, AuditRecord, Beat, Committed, Cursor, Event, Measure, Member, Page, Sample, Seen, Subject, TailError,
};
use crate::revision::Revision;
use crate::rule::{Claim, Denial, Invalid, Misfit, OverQuota, Principal};
use crate::time::Timestamp;
use crate::value::Dimension;

fn id<N>(number: u128) -> Id<N> {
    Id::from_uuid(Uuid::from_u128(number))
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn app() -> App {
    App::new("shop".parse().unwrap())
}

pub(super) fn batch() -> Batch {
    let (team, new, old): (TeamId, AppId, AppId) = (id(1), id(0x20), id(0x21));
    Batch::new(Principal::Controller(Epoch(3)))
        .expecting(Expectation::Spec(old.into(), Revision::new(5)))
        .expecting(Expectation::Status(old.into(), Revision::new(6)))
        .expecting(Expectation::Exists(team.into()))
        .expecting(Expectation::Absent(new.into()))
        .with(Change::create(new, team, app()))
        .with(Change::update(team, Team { name: "red".parse().unwrap() }))
        .with(Change::report(old, AppStatus { release: Some(id(0x30)) }))
        .with(Change::remove(id::<crate::noun::LogDrain>(0x70)))
        .idempotent("deploy-7", [0xab; 32])
}

pub(super) fn errors() -> Vec<StoreError> {
    let operation = "commit";
    let conflict = |conflict| StoreError::Conflict { operation, conflict };
    let job: ObjectId = id::<crate::noun::Job>(0x50).into();
    let claim = Claim::HttpRoute("shop.example.com".parse().unwrap(), "/".parse().unwrap());
    let misfit = Misfit::TooLittle { dimension: Dimension::Memory, free: 1, asked: 2 };
    let over = OverQuota { what: "instances".into(), limit: 10, used: 9, wanted: 11 };
    let forbidden = Denial::Forbidden { verb: crate::change::Verb::Remove, id: job, reason: "it is placed".into() };
    vec![
        StoreError::NotFound { operation, id: job },
        conflict(Conflict::SpecVersion { id: job, expected: Revision::new(1), actual: Revision::new(2) }),
        conflict(Conflict::Claimed { claim, holder: job }),
        conflict(Conflict::DoesNotFit { id: job, node: id(0x40), misfit }),
        conflict(Conflict::OverQuota { team: id(1), over }),
        conflict(Conflict::Deposed { epoch: Epoch(1), current: Epoch(2) }),
        StoreError::Invalid { operation, what: job.to_string(), invalid: Invalid::new("attempt", "too many") },
        StoreError::NotAllowed { operation, denial: Denial::UnknownToken },
        StoreError::NotAllowed { operation, denial: forbidden },
        StoreError::Unavailable { operation, source: "the disk is full".into() },
        StoreError::Internal { operation, source: "the index is wrong".into() },
    ]
}

pub(super) fn lines() -> Vec<Line> {
    let object = crate::wire::tests::samples::sample(Kind::Team);
    vec![
        Line::Snapshot { revision: Revision::new(7), at: at(10), objects: 1 },
        Line::Event(Event::Put(object)),
        Line::Commit { revision: Revision::new(8), at: at(11), events: 1 },
        Line::Event(Event::Removed(id::<crate::noun::Job>(0x50).into())),
        Line::Beat,
        Line::Opaque("no form".into()),
        Line::End(TailError::Compacted { after: Revision::new(7) }),
        Line::End(TailError::NotAllowed(Denial::ExpiredToken)),
        Line::End(TailError::Unavailable("gone".into())),
    ]
}

/// The other messages by their names, as they are written.
pub(super) fn messages() -> Vec<(&'static str, String)> {
    let lease = Lease { holder: "n1#4".into(), epoch: Epoch(4), until: at(99) };
    let seat = Seat::Deployment(id(0x60));
    let beat = Beat { incarnation: "c0ffee".into(), acknowledged: Revision::new(7) };
    let member = Member::Router(id(0x80));
    let sample = Sample {
        subject: Subject { app: id(0x20), process: "web".parse().unwrap(), release: id(0x30), job: Some(id(0x50)) },
        measure: Measure::LatencyP95Millis,
        at: at(12),
        value: 12.5,
    };
    let committed = Committed { revision: Revision::new(8), objects: vec![id::<App>(0x20).into()], replayed: true };
    let object = crate::wire::tests::samples::sample(Kind::Grant);
    let archived = Archived { revision: Revision::new(9), at: at(13), object };
    let objects: BTreeSet<ObjectId> = BTreeSet::from([JobId::NIL.into()]);
    let record = AuditRecord {
        revision: Revision::new(9),
        at: at(13),
        principal: Principal::Bearer(id(0x90)),
        objects: objects.into_iter().collect(),
    };
    let next = Some(Cursor(Some((Revision::new(9), 1))));
    let seen = Seen { member, beat: beat.clone(), at: at(14), until: at(15) };
    let message = Result::unwrap;
    vec![
        ("batch", message(encode("batch", &batch()))),
        ("committed", message(encode("committed", &committed))),
        (
            "campaign",
            message(encode("campaign", &Candidacy { seat, holder: "n1#4".into(), term: Duration::from_secs(10) })),
        ),
        ("won", message(encode("outcome", &Campaign::Won(lease.clone())))),
        ("held", message(encode("outcome", &Campaign::Held(lease)))),
        ("resignation", message(encode("resignation", &Resignation { seat, epoch: Epoch(4) }))),
        ("beat", message(encode("beat", &Beating { member, beat, lease: Duration::from_secs(15) }))),
        ("seen", message(encode_page("seen", &Page { entries: vec![seen], next: None }))),
        ("samples", message(encode("samples", &vec![sample]))),
        ("archived", message(encode_page("page", &Page { entries: vec![archived], next }))),
        ("audit", message(encode_page("page", &Page { entries: vec![record], next }))),
        ("whoami", message(encode("caller", &Whoami { principal: Some(Principal::Node(id(0x40))) }))),
    ]
}
