use std::collections::BTreeSet;

use crate::id::Id;
use crate::name::HostPattern;
use crate::noun::AppId;
use crate::rule::{Claim, Footprint, Invalid, NounRules};
use crate::time::Timestamp;
use crate::value::Sealed;

/// The id of a [`Certificate`].
pub type CertificateId = Id<Certificate>;

/// The TLS certificate of some hosts of an app.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// The app.
    pub app: AppId,
    /// The hosts it is used for.
    pub hosts: BTreeSet<HostPattern>,
    /// Where it comes from.
    pub source: CertificateSource,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CertificateSource {
    /// Given by its owner.
    Given(KeyPair),
    /// Ordered and renewed by ACME (RFC 8555).
    Acme,
}

/// A certificate chain and its private key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyPair {
    /// The chain in PEM, the host's certificate first.
    pub chain: String,
    /// The private key in PEM, sealed.
    pub key: Sealed,
}

/// What is known of a certificate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CertificateStatus {
    /// What ACME issued last.
    pub issued: Option<KeyPair>,
    /// The end of the validity of the one in use.
    pub not_after: Option<Timestamp>,
    /// Why the last order failed, if it did.
    pub problem: Option<String>,
}

impl Certificate {
    /// The chain and the key that are in use, if there are any yet.
    pub fn pair<'a>(&'a self, status: &'a CertificateStatus) -> Option<&'a KeyPair> {
        match &self.source {
            CertificateSource::Given(pair) => Some(pair),
            CertificateSource::Acme => status.issued.as_ref(),
        }
    }
}

impl NounRules for Certificate {
    fn validate(&self) -> Result<(), Invalid> {
        if self.hosts.is_empty() || self.hosts.len() > 100 {
            return Err(Invalid::new("hosts", "use 1 to 100 hosts"));
        }
        match &self.source {
            CertificateSource::Given(pair) if pair.chain.len() > 256 << 10 => {
                Err(Invalid::new("source.chain", "a chain is at most 256 KiB"))
            }
            CertificateSource::Given(pair) if pair.key.bytes.len() > 64 << 10 => {
                Err(Invalid::new("source.key", "a key is at most 64 KiB"))
            }
            _ => Ok(()),
        }
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.app != next.app {
            return Err(Invalid::new("app", "a certificate stays with its app"));
        }
        Ok(())
    }

    fn footprint(&self, _: CertificateId, _: &CertificateStatus) -> Footprint {
        Footprint {
            app: Some(self.app),
            claims: self.hosts.iter().cloned().map(Claim::CertificateHost).collect(),
            hosts: self.hosts.iter().cloned().collect(),
            references: vec![self.app.into()],
            ..Footprint::default()
        }
    }
}
