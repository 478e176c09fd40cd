//! Strategies that make any value that has a document.

mod app;
mod cluster;
pub(crate) mod link;
pub(super) mod peer;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use crate::election::{Epoch, Seat};
use crate::id::Id;
use crate::name::NameError;
use crate::noun::{Kind, Noun, Object, ObjectId, Stored};
use crate::port::{Cursor, Member};
use crate::revision::Revision;
use crate::rule::Principal;
use crate::scope::{Membership, Scope};
use crate::time::Timestamp;
use crate::value::{Digest, Env, KeyId, Resources, Sealed};

/// A strategy for a struct or variant from one for each field.
macro_rules! fields {
    ($($path:ident)::+ { $($field:ident: $strategy:expr),* $(,)? }) => {
        ($($strategy,)*).prop_map(|($($field,)*)| $($path)::+ { $($field),* })
    };
}
use fields;

/// An object of `kind`.
pub(super) fn object(kind: Kind) -> BoxedStrategy<Object> {
    match kind {
        Kind::Addon => stored(cluster::addon(), cluster::addon_status()),
        Kind::App => stored(app::app(), app::app_status()),
        Kind::Build => stored(app::build(), app::build_status()),
        Kind::Certificate => stored(app::certificate(), app::certificate_status()),
        Kind::Deployment => stored(app::deployment(), app::deployment_status()),
        Kind::Formation => stored(app::formation(), Just(())),
        Kind::Grant => stored(cluster::grant(), Just(())),
        Kind::Job => stored(app::job(), app::job_status()),
        Kind::LogDrain => stored(app::log_drain(), Just(())),
        Kind::Node => stored(cluster::node(), cluster::node_status()),
        Kind::Provider => stored(cluster::provider(), Just(())),
        Kind::Quota => stored(cluster::quota(), Just(())),
        Kind::Release => stored(app::release(), Just(())),
        Kind::Route => stored(app::route(), Just(())),
        Kind::Router => stored(cluster::router(), cluster::router_status()),
        Kind::Team => stored(cluster::team(), Just(())),
        Kind::Token => stored(cluster::token(), Just(())),
        Kind::User => stored(cluster::user(), Just(())),
        Kind::Volume => stored(app::volume(), app::volume_status()),
    }
}

/// An object of any noun.
pub(super) fn any_object() -> impl Strategy<Value = Object> {
    select(Kind::ALL).prop_flat_map(object)
}

pub(super) fn principal() -> impl Strategy<Value = Principal> {
    prop_oneof![
        Just(Principal::System),
        any::<u64>().prop_map(|epoch| Principal::Controller(Epoch(epoch))),
        id().prop_map(Principal::Bearer),
        id().prop_map(Principal::Node),
        id().prop_map(Principal::Router),
    ]
}

pub(super) fn seat() -> impl Strategy<Value = Seat> {
    prop_oneof![Just(Seat::Controller), id().prop_map(Seat::Deployment)]
}

pub(super) fn membership() -> impl Strategy<Value = Membership> {
    fields!(Membership { kind: select(Kind::ALL), team: id(), app: of(id()), node: of(id()) })
}

pub(super) fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::All),
        Just(Scope::Router),
        id().prop_map(Scope::Team),
        id().prop_map(Scope::App),
        id().prop_map(Scope::Node),
    ]
}

pub(super) fn object_id() -> impl Strategy<Value = ObjectId> {
    (select(Kind::ALL), any::<u128>()).prop_map(|(kind, bits)| ObjectId::new(kind, Uuid::from_u128(bits)))
}

pub(super) fn member() -> impl Strategy<Value = Member> {
    prop_oneof![id().prop_map(Member::Node), id().prop_map(Member::Router)]
}

pub(super) fn cursor() -> impl Strategy<Value = Cursor> {
    of((any::<u64>().prop_map(Revision::new), any::<u32>())).prop_map(Cursor)
}

fn stored<N: Noun>(
    spec: impl Strategy<Value = N> + 'static,
    status: impl Strategy<Value = N::Status> + 'static,
) -> BoxedStrategy<Object>
where
    Object: From<Stored<N>>,
{
    fields!(Stored {
        id: id(),
        team: id(),
        spec: spec,
        status: status,
        spec_version: any::<u64>().prop_map(Revision::new),
        status_version: any::<u64>().prop_map(Revision::new),
        created_at: time(),
    })
    .prop_map(Object::from)
    .boxed()
}

fn id<N>() -> impl Strategy<Value = Id<N>> {
    any::<u128>().prop_map(|bits| Id::from_uuid(Uuid::from_u128(bits)))
}

fn name<T: FromStr<Err = NameError> + fmt::Debug>(pattern: &'static str) -> impl Strategy<Value = T> {
    pattern.prop_map(|text| text.parse().unwrap())
}

/// A name of the usual form.
fn label<T: FromStr<Err = NameError> + fmt::Debug>() -> impl Strategy<Value = T> {
    name("[a-z]([a-z0-9-]{0,28}[a-z0-9])?")
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(String::from_iter)
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

fn span() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn sealed() -> impl Strategy<Value = Sealed> {
    fields!(Sealed { key: text().prop_map(KeyId), bytes: vec(any::<u8>(), 0..40) })
}

fn env() -> impl Strategy<Value = Env> {
    btree_map(name("[A-Za-z_][A-Za-z0-9_]{0,12}"), sealed(), 0..4)
}

fn resources() -> impl Strategy<Value = Resources> {
    fields!(Resources {
        cpu_millis: any::<u64>(),
        memory_bytes: any::<u64>(),
        disk_bytes: any::<u64>(),
        pids: any::<u64>(),
    })
}
