//! What ties a type of the domain to its form, so that no type of the domain needs to know it.
//!
//! Most forms are mirrors (`#[serde(remote)]`): they have the fields of the type under the names of the
//! document, and stop compiling when the type changes. A type whose shape is not that of its document has
//! a form with conversions. A field whose type has a form says `#[serde(with = "form")]`; scalars such as
//! names and ids are their own form.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A type of the domain that has a form in this version.
pub(crate) trait Form: Sized {
    /// Writes the form.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    /// Reads the form.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

pub(super) fn serialize<T: Form, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write(serializer)
}

pub(super) fn deserialize<'de, T: Form, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::read(deserializer)
}

/// A value that is written and read in its form, where serde wants a type.
pub(super) struct Part<T>(pub(super) T);

impl<T: Form> Serialize for Part<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<'de, T: Form> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

/// Gives types their forms: `mirror` names one that is `#[serde(remote)]`, `convert` one with `From` both ways.
macro_rules! forms {
    ($($how:ident $type:ty => $form:ident,)*) => { $(
        impl $crate::wire::v1::form::Form for $type {
            fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::wire::v1::form::forms!(@write $how $form, self, serializer)
            }

            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::wire::v1::form::forms!(@read $how $form, deserializer)
            }
        }
    )* };
    (@write mirror $form:ident, $value:expr, $serializer:expr) => { $form::serialize($value, $serializer) };
    (@write convert $form:ident, $value:expr, $serializer:expr) => {
        serde::Serialize::serialize(&$form::from($value), $serializer)
    };
    (@read mirror $form:ident, $deserializer:expr) => { $form::deserialize($deserializer) };
    (@read convert $form:ident, $deserializer:expr) => {
        <$form as serde::Deserialize>::deserialize($deserializer).map(Self::from)
    };
}
pub(super) use forms;

/// The status of a noun that has none: an empty object, in whose place a later release may have more.
impl Form for () {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(None::<((), ())>)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<IgnoredAny>::deserialize(deserializer).map(drop)
    }
}

impl<T: Form> Form for Option<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(Part).serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<Part<T>>::deserialize(deserializer).map(|part| part.map(|Part(value)| value))
    }
}

impl<T: Form> Form for Arc<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        T::write(self, serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self::new)
    }
}

impl<T: Form> Form for Vec<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Part))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Vec::<Part<T>>::deserialize(deserializer)?;
        Ok(parts.into_iter().map(|Part(value)| value).collect())
    }
}

impl<K: Serialize + for<'de> Deserialize<'de> + Ord, T: Form> Form for BTreeMap<K, T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(key, value)| (key, Part(value))))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = BTreeMap::<K, Part<T>>::deserialize(deserializer)?;
        Ok(parts.into_iter().map(|(key, Part(value))| (key, value)).collect())
    }
}
