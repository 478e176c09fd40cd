use serde::{Deserialize, Serialize};

use super::form::forms;
use crate::noun::{AppId, LogDrain};
use crate::value::Sealed;

forms! {
    mirror LogDrain => LogDrainForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LogDrain")]
struct LogDrainForm {
    app: AppId,
    url: Sealed,
}
