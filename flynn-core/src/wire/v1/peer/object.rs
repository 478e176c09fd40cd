use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::super::form::{self, Form};
use super::super::{decode, encode};
use crate::error::Chain;
use crate::noun::{Kind, Object};

/// A document with its kind beside it.
#[derive(Serialize, Deserialize)]
struct ObjectForm {
    #[serde(with = "form")]
    kind: Kind,
    document: Box<RawValue>,
}

impl Form for Object {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let document = encode(self).map_err(|error| S::Error::custom(Chain(&error)))?;
        let document = RawValue::from_string(document).map_err(S::Error::custom)?;
        ObjectForm { kind: self.id().kind(), document }.serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = ObjectForm::deserialize(deserializer)?;
        decode(form.kind, form.document.get()).map_err(|error| D::Error::custom(Chain(&error)))
    }
}
