use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::noun::{AppId, CertificateId};

/// The TLS certificate of some hosts of an app. The private key is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Its id.
    pub id: CertificateId,
    /// The app.
    pub app: AppId,
    /// The hosts that it is used for.
    pub hosts: Vec<String>,
    /// Where it comes from: `given`, or `acme` for one that is ordered and renewed.
    pub source: String,
    /// The hosts that it names.
    #[serde(default)]
    pub names: Vec<String>,
    /// Who signed it.
    #[serde(default)]
    pub issuer: Option<String>,
    /// When it begins to be valid.
    #[serde(default)]
    pub not_before: Option<Time>,
    /// When it ends to be valid.
    #[serde(default)]
    pub not_after: Option<Time>,
    /// When it was added.
    pub created_at: Time,
    /// The revision that last changed it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// A certificate to be used.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewCertificate {
    /// The chain in PEM, the certificate of the hosts first, then of each the one that signed it.
    pub chain: String,
    /// The private key of the first certificate in PEM, not encrypted.
    pub key: String,
    /// The hosts to use it for: names, or `*.` and a name. If none is given, those of the app's hosts that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

impl fmt::Debug for NewCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewCertificate").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}
