use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::HostPattern;
use crate::noun::{AppId, Certificate, CertificateSource, CertificateStatus, KeyPair};
use crate::time::Timestamp;
use crate::value::Sealed;

forms! {
    mirror Certificate => CertificateForm,
    mirror CertificateSource => CertificateSourceForm,
    mirror KeyPair => KeyPairForm,
    mirror CertificateStatus => CertificateStatusForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Certificate")]
struct CertificateForm {
    app: AppId,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    hosts: BTreeSet<HostPattern>,
    #[serde(with = "form")]
    source: CertificateSource,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CertificateSource", tag = "type", rename_all = "snake_case")]
enum CertificateSourceForm {
    Given(#[serde(with = "form")] KeyPair),
    Acme,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "KeyPair")]
struct KeyPairForm {
    chain: String,
    key: Sealed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CertificateStatus")]
struct CertificateStatusForm {
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    issued: Option<KeyPair>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_after: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}
