use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use flynn_core::name::HostPattern;
use imbl::HashMap;

use super::ServedCertificate;
use crate::table::Host;

/// The certificates of hosts, looked up by every handshake and changed while they go on.
///
/// Hashes are keyed at random, so that nobody can choose hosts that collide.
#[derive(Default)]
pub struct CertificateTable {
    entries: ArcSwap<Entries>,
}

#[derive(Clone, Default)]
struct Entries {
    exact: HashMap<Arc<str>, ServedCertificate>,
    /// By what follows the `*.`.
    wildcard: HashMap<Arc<str>, ServedCertificate>,
}

impl Entries {
    fn of(&mut self, host: &HostPattern) -> &mut HashMap<Arc<str>, ServedCertificate> {
        if host.is_wildcard() { &mut self.wildcard } else { &mut self.exact }
    }
}

impl CertificateTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes changes at one moment: of each host its certificate, or none for no more. All that is not named stays, at no
    /// cost.
    pub fn apply(&self, changes: impl IntoIterator<Item = (HostPattern, Option<ServedCertificate>)>) {
        let changes: Vec<_> = changes.into_iter().collect();
        self.entries.rcu(|entries| {
            let mut next = Entries::clone(entries);
            for (host, certificate) in &changes {
                let hosts = next.of(host);
                match certificate {
                    Some(certificate) => drop(hosts.insert(host.base().into(), certificate.clone())),
                    None => drop(hosts.remove(host.base())),
                }
            }
            next
        });
    }

    /// The certificate of a host: its own, or that of the wildcard one label above it.
    pub fn find(&self, host: &Host) -> Option<ServedCertificate> {
        let entries = self.entries.load();
        let exact = entries.exact.get(host.as_str());
        exact.or_else(|| entries.wildcard.get(host.parent()?)).cloned()
    }

    /// How many hosts and wildcards have a certificate.
    pub fn len(&self) -> usize {
        let entries = self.entries.load();
        entries.exact.len() + entries.wildcard.len()
    }

    /// Whether there is no certificate.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether both hosts are served with the same certificate at present.
    pub(super) fn is_shared(&self, one: &Host, other: &Host) -> bool {
        let pair = (self.find(one), self.find(other));
        matches!(pair, (Some(one), Some(other)) if Arc::ptr_eq(&one.key, &other.key))
    }
}

impl fmt::Debug for CertificateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateTable").field("hosts", &self.len()).finish_non_exhaustive()
    }
}
