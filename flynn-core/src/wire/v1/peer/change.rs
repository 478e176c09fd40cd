use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::super::form::{self, Form, Part, forms};
use super::super::from_json;
use crate::change::{Action, Batch, Change, Expectation, Idempotency, Verb, Write, on_write};
use crate::error::Chain;
use crate::id::Id;
use crate::noun::{
    Addon, App, Build, Certificate, Deployment, Formation, Grant, Job, LogDrain, Node, Provider, Quota, Release, Route,
    Router, Team, Token, User, Volume,
};
use crate::noun::{Kind, Noun, ObjectId, TeamId, with_nouns};
use crate::port::Committed;
use crate::revision::Revision;
use crate::rule::Principal;
use crate::value::{Digest, hex};
use crate::wire::WireError;

forms! {
    mirror Batch => BatchForm,
    convert Expectation => ExpectationForm,
    mirror Idempotency => IdempotencyForm,
    mirror Committed => CommittedForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Batch")]
struct BatchForm {
    #[serde(with = "form")]
    principal: Principal,
    #[serde(with = "form", default, skip_serializing_if = "Vec::is_empty")]
    expectations: Vec<Expectation>,
    #[serde(with = "form", default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Change>,
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    idempotency: Option<Idempotency>,
    #[serde(skip)]
    received: Vec<Digest>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ExpectationForm {
    Spec {
        #[serde(with = "form")]
        id: ObjectId,
        version: Revision,
    },
    Status {
        #[serde(with = "form")]
        id: ObjectId,
        version: Revision,
    },
    Exists {
        #[serde(with = "form")]
        id: ObjectId,
    },
    Absent {
        #[serde(with = "form")]
        id: ObjectId,
    },
}

impl From<&Expectation> for ExpectationForm {
    fn from(expectation: &Expectation) -> Self {
        match *expectation {
            Expectation::Spec(id, version) => Self::Spec { id, version },
            Expectation::Status(id, version) => Self::Status { id, version },
            Expectation::Exists(id) => Self::Exists { id },
            Expectation::Absent(id) => Self::Absent { id },
        }
    }
}

impl From<ExpectationForm> for Expectation {
    fn from(expectation: ExpectationForm) -> Self {
        match expectation {
            ExpectationForm::Spec { id, version } => Self::Spec(id, version),
            ExpectationForm::Status { id, version } => Self::Status(id, version),
            ExpectationForm::Exists { id } => Self::Exists(id),
            ExpectationForm::Absent { id } => Self::Absent(id),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Idempotency")]
struct IdempotencyForm {
    key: String,
    #[serde(with = "hex")]
    fingerprint: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Committed")]
struct CommittedForm {
    revision: Revision,
    #[serde(with = "form", default, skip_serializing_if = "Vec::is_empty")]
    objects: Vec<ObjectId>,
    replayed: bool,
}

/// A change as it is sent: what a verb does not need is left out.
#[derive(Serialize, Deserialize)]
struct ChangeForm {
    #[serde(with = "form")]
    verb: Verb,
    #[serde(with = "form")]
    kind: Kind,
    id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    team: Option<TeamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Box<RawValue>>,
}

impl Form for Change {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        on_write!(self, write => change_form(write)).map_err(S::Error::custom)?.serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = ChangeForm::deserialize(deserializer)?;
        let (kind, id) = (form.kind, form.id);
        change(form).map_err(|error| D::Error::custom(format!("{} {id}: {error}", kind.as_str())))
    }
}

fn change_form<N: Noun<Status: Form> + Form>(write: &Write<N>) -> Result<ChangeForm, serde_json::Error> {
    let (mut team, mut spec, mut status) = (None, None, None);
    match &write.action {
        Action::Create { team: owner, spec: intended } => {
            team = Some(*owner);
            spec = Some(to_raw_value(&Part(intended))?);
        }
        Action::Update(intended) => spec = Some(to_raw_value(&Part(intended))?),
        Action::Report(known) => status = Some(to_raw_value(&Part(known))?),
        Action::Remove => {}
    }
    Ok(ChangeForm { verb: write.verb(), kind: N::KIND, id: write.id.uuid(), team, spec, status })
}

macro_rules! changes {
    ($($noun:ident, $status:ty, $text:literal, $table:ident;)*) => {
        fn change(form: ChangeForm) -> Result<Change, String> {
            match form.kind { $(Kind::$noun => typed::<$noun>(form),)* }
        }
    };
}

with_nouns!(changes);

fn typed<N: Noun<Status: Form> + Form>(form: ChangeForm) -> Result<Change, String> {
    let action = match form.verb {
        Verb::Create => {
            Action::Create { team: form.team.ok_or("a creation needs a `team`")?, spec: part::<N>("spec", form.spec)? }
        }
        Verb::Update => Action::Update(part("spec", form.spec)?),
        Verb::Report => Action::Report(part("status", form.status)?),
        Verb::Remove => Action::Remove,
    };
    Ok(N::change(Write { id: Id::from_uuid(form.id), action }))
}

fn part<T: Form>(name: &'static str, raw: Option<Box<RawValue>>) -> Result<T, String> {
    let raw = raw.ok_or_else(|| format!("the `{name}` is missing"))?;
    from_json(name, raw.get()).map(|Part(value)| value).map_err(|error: WireError| Chain(&error).to_string())
}
