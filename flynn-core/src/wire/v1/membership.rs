//! What scopes look at in an object, as it is kept with each step of a log.

use serde::{Deserialize, Serialize};

use super::form::{self, Part, forms};
use crate::noun::{AppId, Kind, NodeId, TeamId};
use crate::scope::Membership;
use crate::wire::WireError;
use crate::wire::error::{from_json, to_json};

const MEMBERSHIP: &str = "membership";

/// The document of a membership.
pub(crate) fn encode_membership(member: &Membership) -> Result<String, WireError> {
    to_json(MEMBERSHIP, None, &Part(member))
}

/// The membership in a document.
pub(crate) fn decode_membership(document: &str) -> Result<Membership, WireError> {
    from_json(MEMBERSHIP, document).map(|Part(member)| member)
}

forms! {
    mirror Membership => MembershipForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Membership")]
struct MembershipForm {
    #[serde(with = "form")]
    kind: Kind,
    team: TeamId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app: Option<AppId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
}
