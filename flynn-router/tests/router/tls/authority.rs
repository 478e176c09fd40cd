//! An authority of the tests, and clients that trust it.

use std::sync::Arc;

use flynn_core::port::Secret;
use flynn_router::tls::ServedCertificate;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// A chain and a key in PEM.
    pub(crate) fn pair(&self, names: &[&str]) -> (String, Secret) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), Secret::new(key.serialize_pem()))
    }

    pub(crate) fn certificate(&self, names: &[&str]) -> ServedCertificate {
        let (chain, key) = self.pair(names);
        ServedCertificate::from_pem(&chain, &key).unwrap()
    }

    /// A client that speaks these protocols. It remembers sessions.
    pub(crate) fn client(&self, protocols: &[&str]) -> ClientConfig {
        self.client_of(protocols, rustls::ALL_VERSIONS)
    }

    pub(crate) fn client_of(&self, protocols: &[&str], versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config.resumption = Resumption::in_memory_sessions(64);
        config
    }
}
