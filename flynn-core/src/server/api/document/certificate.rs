use std::collections::BTreeSet;

use crate::api;
use crate::name::HostPattern;
use crate::noun::{Certificate, CertificateSource, Stored};
use crate::x509::CertificateFacts;

pub(in crate::server::api) fn certificate(certificate: &Stored<Certificate>) -> api::Certificate {
    let Stored { spec, status, .. } = certificate;
    // One that was taken in by another release may say what this one cannot read.
    let facts = spec.pair(status).and_then(|pair| CertificateFacts::of_chain(&pair.chain).ok());
    let texts = |hosts: &BTreeSet<HostPattern>| hosts.iter().map(ToString::to_string).collect();
    api::Certificate {
        id: certificate.id,
        app: spec.app,
        hosts: texts(&spec.hosts),
        source: match spec.source {
            CertificateSource::Given(_) => "given",
            CertificateSource::Acme => "acme",
        }
        .to_owned(),
        names: facts.as_ref().map(|facts| texts(&facts.names)).unwrap_or_default(),
        issuer: facts.as_ref().map(|facts| facts.issuer.clone()),
        not_before: facts.as_ref().map(|facts| facts.not_before.into()),
        not_after: facts.as_ref().map(|facts| facts.not_after.into()),
        created_at: certificate.created_at.into(),
        version: certificate.spec_version.get(),
    }
}
