use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::NodeName;
use crate::noun::{Liveness, Router, RouterStatus};

forms! {
    mirror Router => RouterForm,
    mirror RouterStatus => RouterStatusForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Router")]
struct RouterForm {
    name: NodeName,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RouterStatus")]
struct RouterStatusForm {
    #[serde(with = "form")]
    liveness: Liveness,
    version: String,
}
