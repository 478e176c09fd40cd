use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::hex;
use crate::name::EnvKey;

/// Names the key that sealed a value, so that keys can be rotated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

/// A secret that only a [`KeyRing`](crate::port::KeyRing) can open.
///
/// It is safe to store and to send; `Debug` shows which key sealed it and nothing else. Whoever opens it must
/// say what it is for, see [`SealedFor`](crate::port::SealedFor).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The key that sealed it.
    pub key: KeyId,
    /// Nonce and ciphertext as the key ring wrote them.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.key.0, self.bytes.len())
    }
}

/// Environment variables with sealed values.
pub type Env = BTreeMap<EnvKey, Sealed>;
