use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::form::forms;
use crate::name::ProviderName;
use crate::noun::{Addon, AddonStatus, AppId, Provider, ProviderId};
use crate::value::{Env, Sealed};

forms! {
    mirror Provider => ProviderForm,
    mirror Addon => AddonForm,
    mirror AddonStatus => AddonStatusForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Provider")]
struct ProviderForm {
    name: ProviderName,
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<Sealed>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Addon")]
struct AddonForm {
    provider: ProviderId,
    plan: String,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    apps: BTreeSet<AppId>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AddonStatus")]
struct AddonStatusForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: Env,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}
