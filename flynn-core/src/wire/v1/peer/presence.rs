use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::form::{self, forms};
use super::super::millis;
use crate::port::{Beat, Member};
use crate::revision::Revision;
use crate::time::Timestamp;

/// What is said by [`Presence::beat`](crate::port::Presence::beat).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Beating {
    pub(crate) member: Member,
    pub(crate) beat: Beat,
    pub(crate) lease: Duration,
}

forms! {
    mirror Beating => BeatingForm,
    mirror Beat => BeatForm,
    mirror crate::port::Seen => SeenMemberForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Beating")]
struct BeatingForm {
    #[serde(with = "form")]
    member: Member,
    #[serde(with = "form")]
    beat: Beat,
    #[serde(rename = "lease_ms", with = "millis")]
    lease: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Beat")]
struct BeatForm {
    incarnation: String,
    acknowledged: Revision,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "crate::port::Seen")]
struct SeenMemberForm {
    #[serde(with = "form")]
    member: Member,
    #[serde(with = "form")]
    beat: Beat,
    at: Timestamp,
    until: Timestamp,
}
