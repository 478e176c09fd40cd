use serde::{Deserialize, Serialize};

use super::super::form::forms;
use crate::port::Secret;

/// The opened private key of a certificate, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenedKey {
    pub(crate) key: Secret,
}

forms! {
    mirror OpenedKey => OpenedKeyForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OpenedKey")]
struct OpenedKeyForm {
    #[serde(with = "digits")]
    key: Secret,
}

/// The key as hexadecimal digits, since it is bytes.
mod digits {
    use serde::{Deserializer, Serializer};

    use crate::port::Secret;
    use crate::value::hex;

    pub(super) fn serialize<S: Serializer>(key: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serialize(&key.expose(), serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        hex::deserialize::<D, Vec<u8>>(deserializer).map(Secret::new)
    }
}
