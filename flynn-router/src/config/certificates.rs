//! The certificates that a configuration names.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flynn_core::name::HostPattern;
use flynn_core::port::Secret;
use flynn_core::x509::CertificateError;
use toml::Spanned;

use super::document::{Certificate, Document};
use super::parse::{Fault, fault};
use crate::tls::{CertificateTable, ServedCertificate};

/// The files that a configuration names, and what is served of them.
#[derive(Debug, Default)]
pub(super) struct Named {
    table: Option<Arc<CertificateTable>>,
    beside: PathBuf,
    files: Vec<PathBuf>,
    /// What was in the files when they were looked at last.
    found: BTreeMap<PathBuf, io::Result<Secret>>,
    checked: BTreeMap<HostPattern, ServedCertificate>,
    shown: BTreeMap<HostPattern, ServedCertificate>,
}

impl Named {
    pub(super) fn in_table(table: Arc<CertificateTable>) -> Self {
        Self { table: Some(table), ..Self::default() }
    }

    /// The files that were named last.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Reads the files that `document`, which is in the folder `beside`, names.
    pub(super) async fn look(&mut self, document: &Document, beside: &Path) {
        beside.clone_into(&mut self.beside);
        let files = document.certificate.iter().flat_map(|named| [named.chain.get_ref(), named.key.get_ref()]);
        self.files = files.map(|file| beside.join(file)).collect();
        self.found.clear();
        for file in &self.files {
            let read = tokio::fs::read(file).await.map(Secret::new);
            self.found.insert(file.clone(), read);
        }
    }

    pub(super) fn hash(&self, hasher: &mut impl Hasher) {
        for (file, found) in &self.found {
            (file, found.as_ref().ok().map(Secret::expose)).hash(hasher);
        }
    }

    /// Whether what was found can be served.
    pub(super) fn check(&mut self, document: &Document) -> Result<(), Fault> {
        let mut checked = BTreeMap::new();
        for named in &document.certificate {
            if self.table.is_none() {
                return Err(fault(&named.chain, "this router serves no TLS: give it an address for https"));
            }
            let certificate = self.read(named)?;
            for (host, at) in hosts(named, &certificate)? {
                if checked.insert(host.clone(), certificate.clone()).is_some() {
                    return Err(Fault::at(
                        at,
                        format!("{host} has a certificate already: say for which hosts this one is"),
                    ));
                }
            }
        }
        self.checked = checked;
        Ok(())
    }

    /// Serves what was checked. Says whether anything changed.
    pub(super) fn apply(&mut self) -> bool {
        let Some(table) = &self.table else { return false };
        let next = std::mem::take(&mut self.checked);
        let gone = self.shown.keys().filter(|host| !next.contains_key(*host)).map(|host| (host.clone(), None));
        let come = next.iter().map(|(host, certificate)| (host.clone(), Some(certificate.clone())));
        let changes: Vec<_> = gone.chain(come).collect();
        let changed = !changes.is_empty();
        table.apply(changes);
        self.shown = next;
        changed
    }

    fn read(&self, named: &Certificate) -> Result<ServedCertificate, Fault> {
        let (chain, key) = (self.found(&named.chain)?, self.found(&named.key)?);
        let chain = String::from_utf8_lossy(chain.expose());
        ServedCertificate::from_pem(&chain, key).map_err(|error| {
            let at = if matches!(error, CertificateError::Chain { .. }) { &named.chain } else { &named.key };
            fault(at, format!("{}: {}", at.get_ref().display(), error.problem()))
        })
    }

    fn found(&self, file: &Spanned<PathBuf>) -> Result<&Secret, Fault> {
        let name = file.get_ref().display();
        match self.found.get(&self.beside.join(file.get_ref())) {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(fault(file, format!("{name} cannot be read: {error}"))),
            None => Err(fault(file, format!("{name} was not read"))),
        }
    }
}

/// The hosts that a certificate is used for, and where that is said.
fn hosts(
    named: &Certificate,
    certificate: &ServedCertificate,
) -> Result<Vec<(HostPattern, std::ops::Range<usize>)>, Fault> {
    let Some(texts) = &named.hosts else {
        let names = certificate.facts().names.iter();
        return Ok(names.map(|host| (host.clone(), named.chain.span())).collect());
    };
    let mut hosts = Vec::new();
    for text in texts {
        let host = HostPattern::new(text.get_ref()).map_err(|error| fault(text, error))?;
        if !certificate.facts().covers(&host) {
            return Err(fault(text, format!("the certificate is not for {host}")));
        }
        hosts.push((host, text.span()));
    }
    Ok(hosts)
}
