use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::form::forms;
use crate::name::EnvKey;
use crate::port::Secret;

/// The opened environment of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) env: BTreeMap<EnvKey, Secret>,
}

forms! {
    mirror Environment => EnvironmentForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Environment")]
struct EnvironmentForm {
    #[serde(with = "opened")]
    env: BTreeMap<EnvKey, Secret>,
}

/// Values as hexadecimal digits, since they are bytes.
mod opened {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::name::EnvKey;
    use crate::port::Secret;
    use crate::value::hex;

    #[derive(Serialize)]
    struct Shown<'a>(#[serde(serialize_with = "hex::serialize")] &'a [u8]);

    #[derive(Deserialize)]
    struct Read(#[serde(deserialize_with = "hex::deserialize")] Vec<u8>);

    pub(super) fn serialize<S: Serializer>(env: &BTreeMap<EnvKey, Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(env.iter().map(|(key, value)| (key, Shown(value.expose()))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<EnvKey, Secret>, D::Error> {
        let env = BTreeMap::<EnvKey, Read>::deserialize(deserializer)?;
        Ok(env.into_iter().map(|(key, Read(value))| (key, Secret::new(value))).collect())
    }
}
