use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::form::{self, forms};
use super::super::millis;
use crate::election::{Campaign, Epoch, Lease, Seat};
use crate::time::Timestamp;

/// What is asked by [`Elections::campaign`](crate::port::Elections::campaign).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidacy {
    pub(crate) seat: Seat,
    pub(crate) holder: String,
    pub(crate) term: Duration,
}

/// What is asked by [`Elections::resign`](crate::port::Elections::resign).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resignation {
    pub(crate) seat: Seat,
    pub(crate) epoch: Epoch,
}

forms! {
    mirror Candidacy => CandidacyForm,
    mirror Resignation => ResignationForm,
    mirror Epoch => EpochForm,
    mirror Lease => LeaseForm,
    convert Campaign => CampaignForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Candidacy")]
struct CandidacyForm {
    #[serde(with = "form")]
    seat: Seat,
    holder: String,
    #[serde(rename = "term_ms", with = "millis")]
    term: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Resignation")]
struct ResignationForm {
    #[serde(with = "form")]
    seat: Seat,
    #[serde(with = "form")]
    epoch: Epoch,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Epoch", transparent)]
struct EpochForm(u64);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Lease")]
struct LeaseForm {
    holder: String,
    #[serde(with = "form")]
    epoch: Epoch,
    until: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum CampaignForm {
    Won {
        #[serde(with = "form")]
        lease: Lease,
    },
    Held {
        #[serde(with = "form")]
        lease: Lease,
    },
}

impl From<&Campaign> for CampaignForm {
    fn from(campaign: &Campaign) -> Self {
        match campaign.clone() {
            Campaign::Won(lease) => Self::Won { lease },
            Campaign::Held(lease) => Self::Held { lease },
        }
    }
}

impl From<CampaignForm> for Campaign {
    fn from(campaign: CampaignForm) -> Self {
        match campaign {
            CampaignForm::Won { lease } => Self::Won(lease),
            CampaignForm::Held { lease } => Self::Held(lease),
        }
    }
}
