use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::form::{self, forms};
use crate::election::Epoch;
use crate::error::Conflict;
use crate::name::HostPattern;
use crate::noun::{Liveness, NodeId, ObjectId, Scheduling, TeamId};
use crate::revision::Revision;
use crate::rule::{Claim, Misfit, OverQuota};
use crate::value::Dimension;

forms! {
    convert Conflict => ConflictForm,
    convert Misfit => MisfitForm,
    mirror OverQuota => OverQuotaForm,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ConflictForm {
    SpecVersion {
        #[serde(with = "form")]
        id: ObjectId,
        expected: Revision,
        actual: Revision,
    },
    StatusVersion {
        #[serde(with = "form")]
        id: ObjectId,
        expected: Revision,
        actual: Revision,
    },
    Exists {
        #[serde(with = "form")]
        id: ObjectId,
    },
    Claimed {
        #[serde(with = "form")]
        claim: Claim,
        #[serde(with = "form")]
        holder: ObjectId,
    },
    HostTaken {
        host: HostPattern,
    },
    InUse {
        #[serde(with = "form")]
        id: ObjectId,
        #[serde(with = "form")]
        by: ObjectId,
    },
    Deposed {
        epoch: u64,
        current: u64,
    },
    DoesNotFit {
        #[serde(with = "form")]
        id: ObjectId,
        node: NodeId,
        #[serde(with = "form")]
        misfit: Misfit,
    },
    OverQuota {
        team: TeamId,
        #[serde(with = "form")]
        over: OverQuota,
    },
    KeyReused {
        key: String,
    },
    Unknown {
        text: String,
    },
}

impl From<&Conflict> for ConflictForm {
    fn from(conflict: &Conflict) -> Self {
        match conflict.clone() {
            Conflict::SpecVersion { id, expected, actual } => Self::SpecVersion { id, expected, actual },
            Conflict::StatusVersion { id, expected, actual } => Self::StatusVersion { id, expected, actual },
            Conflict::Exists(id) => Self::Exists { id },
            Conflict::Claimed { claim, holder } => Self::Claimed { claim, holder },
            Conflict::HostTaken { host } => Self::HostTaken { host },
            Conflict::InUse { id, by } => Self::InUse { id, by },
            Conflict::Deposed { epoch, current } => Self::Deposed { epoch: epoch.0, current: current.0 },
            Conflict::DoesNotFit { id, node, misfit } => Self::DoesNotFit { id, node, misfit },
            Conflict::OverQuota { team, over } => Self::OverQuota { team, over },
            Conflict::KeyReused { key } => Self::KeyReused { key },
            Conflict::Unknown { text } => Self::Unknown { text },
        }
    }
}

impl From<ConflictForm> for Conflict {
    fn from(conflict: ConflictForm) -> Self {
        match conflict {
            ConflictForm::SpecVersion { id, expected, actual } => Self::SpecVersion { id, expected, actual },
            ConflictForm::StatusVersion { id, expected, actual } => Self::StatusVersion { id, expected, actual },
            ConflictForm::Exists { id } => Self::Exists(id),
            ConflictForm::Claimed { claim, holder } => Self::Claimed { claim, holder },
            ConflictForm::HostTaken { host } => Self::HostTaken { host },
            ConflictForm::InUse { id, by } => Self::InUse { id, by },
            ConflictForm::Deposed { epoch, current } => Self::Deposed { epoch: Epoch(epoch), current: Epoch(current) },
            ConflictForm::DoesNotFit { id, node, misfit } => Self::DoesNotFit { id, node, misfit },
            ConflictForm::OverQuota { team, over } => Self::OverQuota { team, over },
            ConflictForm::KeyReused { key } => Self::KeyReused { key },
            ConflictForm::Unknown { text } => Self::Unknown { text },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum MisfitForm {
    NotReady {
        #[serde(with = "form")]
        liveness: Liveness,
    },
    Closed {
        #[serde(with = "form")]
        scheduling: Scheduling,
    },
    TooLittle {
        dimension: Dimension,
        free: u64,
        asked: u64,
    },
    TooFewGpus {
        free: u16,
        asked: u16,
        millis: u16,
    },
}

impl From<&Misfit> for MisfitForm {
    fn from(misfit: &Misfit) -> Self {
        match *misfit {
            Misfit::NotReady(liveness) => Self::NotReady { liveness },
            Misfit::Closed(scheduling) => Self::Closed { scheduling },
            Misfit::TooLittle { dimension, free, asked } => Self::TooLittle { dimension, free, asked },
            Misfit::TooFewGpus { free, asked, millis } => Self::TooFewGpus { free, asked, millis },
        }
    }
}

impl From<MisfitForm> for Misfit {
    fn from(misfit: MisfitForm) -> Self {
        match misfit {
            MisfitForm::NotReady { liveness } => Self::NotReady(liveness),
            MisfitForm::Closed { scheduling } => Self::Closed(scheduling),
            MisfitForm::TooLittle { dimension, free, asked } => Self::TooLittle { dimension, free, asked },
            MisfitForm::TooFewGpus { free, asked, millis } => Self::TooFewGpus { free, asked, millis },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OverQuota")]
struct OverQuotaForm {
    what: Cow<'static, str>,
    limit: u64,
    #[serde(default)]
    used: u64,
    wanted: u64,
}
