use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::ProcessName;
use crate::noun::{AppId, Formation, Scale};
use crate::value::Resources;

forms! {
    mirror Formation => FormationForm,
    mirror Scale => ScaleForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Formation")]
struct FormationForm {
    app: AppId,
    #[serde(with = "form", default, skip_serializing_if = "BTreeMap::is_empty")]
    processes: BTreeMap<ProcessName, Scale>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Scale")]
struct ScaleForm {
    count: u32,
    resources: Resources,
}
