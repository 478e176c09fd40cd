//! Certificates of TLS servers: what they say, and whether a private key is theirs.
//!
//! Feature `x509`. The same functions judge a certificate where somebody hands it in and where it is served, so that
//! what was taken can be served. Who signed a certificate is not judged: that is for those who connect.

use std::collections::BTreeSet;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use crate::name::HostPattern;
use crate::rule::Invalid;
use crate::time::Timestamp;

/// The most certificates in a chain.
const LONGEST_CHAIN: usize = 10;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The hosts that it is for. Other names, such as addresses, are left out.
    pub names: BTreeSet<HostPattern>,
    /// Who signed it, as an RFC 4514 name.
    pub issuer: String,
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it ends to be valid.
    pub not_after: Timestamp,
}

/// Why a chain or a key cannot be used. The text says what would be right; it holds nothing of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Something is wrong with the chain.
    #[error("chain: {problem}")]
    Chain {
        /// What, and what to do.
        problem: String,
    },
    /// Something is wrong with the key.
    #[error("key: {problem}")]
    Key {
        /// What, and what to do.
        problem: String,
    },
}

impl CertificateError {
    /// What is wrong, and what to do.
    pub fn problem(&self) -> &str {
        match self {
            Self::Chain { problem } | Self::Key { problem } => problem,
        }
    }
}

impl From<CertificateError> for Invalid {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::Chain { problem } => Self::new("chain", problem),
            CertificateError::Key { problem } => Self::new("key", problem),
        }
    }
}

impl CertificateFacts {
    /// Reads a chain in PEM, the certificate of the server first, then of each the one that signed it.
    ///
    /// # Errors
    /// `Chain`.
    pub fn of_chain(pem: &str) -> Result<Self, CertificateError> {
        facts(&certificates(pem)?)
    }

    /// Reads a chain, and sees to it that `key`, in PEM as well, is the private key of its first certificate.
    ///
    /// # Errors
    /// `Chain` or `Key`.
    pub fn of_pair(chain: &str, key: &[u8]) -> Result<Self, CertificateError> {
        let certificates = certificates(chain)?;
        let facts = facts(&certificates)?;
        let provider = ring::default_provider();
        let key = provider.key_provider.load_private_key(private_key(key)?).map_err(|_| {
            bad_key("it is no key that can be used: use RSA of at least 2048 bits, ECDSA on P-256 or P-384, or Ed25519")
        })?;
        match CertifiedKey::new(certificates, key).keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(facts),
            Err(Error::InconsistentKeys(_)) => {
                Err(bad_key("it is the key of another certificate than the first one of the chain"))
            }
            Err(error) => Err(bad_chain(format!("the first certificate cannot be used: {error}"))),
        }
    }

    /// Whether it is for this host. For a wildcard it has to say the same wildcard.
    pub fn covers(&self, host: &HostPattern) -> bool {
        self.names.contains(host) || host.wildcard_above().is_some_and(|wildcard| self.names.contains(&wildcard))
    }

    /// Whether it is valid at `now`.
    ///
    /// # Errors
    /// `Chain`, if its time is over or has not come.
    pub fn check_time(&self, now: Timestamp) -> Result<(), CertificateError> {
        if self.not_after <= now {
            return Err(bad_chain(format!("the certificate expired at {}: renew it first", words(self.not_after))));
        }
        if self.not_before > now {
            return Err(bad_chain(format!("the certificate is not valid before {}", words(self.not_before))));
        }
        Ok(())
    }
}

fn bad_chain(problem: impl Into<String>) -> CertificateError {
    CertificateError::Chain { problem: problem.into() }
}

fn bad_key(problem: impl Into<String>) -> CertificateError {
    CertificateError::Key { problem: problem.into() }
}

fn certificates(chain: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    // A chain is public and kept as it is.
    if chain.contains("PRIVATE KEY-----") {
        return Err(bad_chain(
            "it holds a private key: give the key by itself, and replace it if it was shown to others",
        ));
    }
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let found = found.map_err(|error| bad_chain(format!("it is no PEM: {}", pem_problem(&error))))?;
    match found.len() {
        0 => Err(bad_chain("there is no certificate in it: give PEM, which begins with -----BEGIN CERTIFICATE-----")),
        count if count > LONGEST_CHAIN => {
            Err(bad_chain(format!("{count} certificates are more than the {LONGEST_CHAIN} allowed")))
        }
        _ => Ok(found),
    }
}

/// A private key in PEM.
fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let is_encrypted = [&b"ENCRYPTED PRIVATE KEY-----"[..], b"Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|sign| pem.windows(sign.len()).any(|window| window == *sign));
    if is_encrypted {
        return Err(bad_key("it is encrypted: decrypt it first, such as by `openssl pkey`"));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            bad_key("there is no private key in it: give PEM, which begins with -----BEGIN PRIVATE KEY-----")
        }
        error => bad_key(format!("it is no PEM: {}", pem_problem(&error))),
    })
}

/// What is wrong with a text, without a word of it: it may be a key.
fn pem_problem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "the line that ends a section is missing",
        pem::Error::IllegalSectionStart { .. } => "a line that begins a section is malformed",
        pem::Error::Base64Decode(_) => "a section is not Base64",
        _ => "it cannot be read",
    }
}

fn facts(chain: &[CertificateDer<'_>]) -> Result<CertificateFacts, CertificateError> {
    let mut read = Vec::new();
    for (at, certificate) in chain.iter().enumerate() {
        let certificate = Certificate::from_der(certificate)
            .map_err(|_| bad_chain(format!("certificate {} cannot be read: it is no X.509 certificate", at + 1)))?;
        read.push(certificate.tbs_certificate);
    }
    let signed_by_next = |pair: &[x509_cert::TbsCertificate]| pair[0].issuer == pair[1].subject;
    if let Some(at) = read.windows(2).position(|pair| !signed_by_next(pair)) {
        return Err(bad_chain(format!(
            "certificate {} did not sign certificate {}: put the server's first, then of each the one that signed it",
            at + 2,
            at + 1
        )));
    }
    let Some(first) = read.first() else {
        return Err(bad_chain("there is no certificate in it"));
    };
    let alternatives = first.get::<SubjectAltName>().map_err(|_| bad_chain("its names cannot be read"))?;
    let names: BTreeSet<HostPattern> = alternatives
        .iter()
        .flat_map(|(_, SubjectAltName(names))| names)
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => HostPattern::new(name.as_str()).ok(),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return Err(bad_chain(
            "the first certificate names no host: clients go by the DNS names among its subject alternative names",
        ));
    }
    let at = |time: &Time| {
        let millis = u64::try_from(time.to_unix_duration().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(millis)
    };
    Ok(CertificateFacts {
        names,
        issuer: first.issuer.to_string(),
        not_before: at(&first.validity.not_before),
        not_after: at(&first.validity.not_after),
    })
}

/// A point in time as people read it.
fn words(at: Timestamp) -> String {
    let since_epoch = Duration::from_millis(at.as_millis());
    DateTime::from_unix_duration(since_epoch)
        .map_or_else(|_| String::from("a day after all others"), |at| at.to_string())
}

#[cfg(test)]
mod tests;
