//! Values that are written as one word, in documents.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use super::form::Form;
use crate::election::Seat;
use crate::noun::{Kind, ObjectId};
use crate::port::{Cursor, Member};
use crate::rule::Principal;
use crate::scope::Scope;
use crate::wire::text::Text;

macro_rules! words {
    ($($type:ty,)*) => { $(
        impl Form for $type {
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.encode())
            }

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::decode(&text).map_err(|error| D::Error::custom(crate::error::Chain(&error)))
            }
        }
    )* };
}

words! { Cursor, Member, ObjectId, Principal, Scope, Seat, }

impl Form for Kind {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_text(&text).ok_or_else(|| D::Error::custom("this kind of object is unknown"))
    }
}
