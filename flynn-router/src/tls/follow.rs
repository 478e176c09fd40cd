use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flynn_core::name::HostPattern;
use flynn_core::noun::{Certificate, CertificateId, Objects};
use flynn_core::port::Secret;
use futures::{FutureExt, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::file::Kept;
use super::{CertificateFile, CertificateKeys, CertificateTable, KeyError, ServedCertificate};

/// How many keys are asked for at a time.
const AT_ONCE: usize = 16;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// When a key that was refused is asked for again.
const REFUSED_WAIT: Duration = Duration::from_secs(60);

/// Keeps a table of certificates equal to what the store says.
///
/// A host keeps the certificate that it has until the one that takes its place can be served. A host whose certificate
/// is gone is served no more.
#[derive(Debug)]
pub struct CertificateFollower {
    objects: watch::Receiver<Option<Objects>>,
    keys: Arc<dyn CertificateKeys>,
    table: Arc<CertificateTable>,
    file: Option<Arc<CertificateFile>>,
    /// What the table was given out of the file.
    restored: Option<Held>,
}

/// A certificate whose key was opened.
#[derive(Debug)]
struct Opened {
    id: CertificateId,
    chain: String,
    key: Secret,
    served: ServedCertificate,
}

/// What the store says of a certificate.
#[derive(Debug)]
struct Wanted {
    hosts: BTreeSet<HostPattern>,
    chain: String,
}

#[derive(Debug, Default)]
struct Held {
    /// The wanted certificates that can be served.
    opened: BTreeMap<CertificateId, Arc<Opened>>,
    /// What the table shows.
    shown: BTreeMap<HostPattern, Arc<Opened>>,
    /// The certificates of which was said that they cannot be served.
    told: BTreeSet<CertificateId>,
}

/// Whether keys are still to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Missing {
    None,
    Refused,
    Unavailable,
}

impl CertificateFollower {
    /// A follower that writes `table`, which nothing else may write. `objects` is what
    /// [`RouteFollower::objects`](crate::follow::RouteFollower::objects) gives.
    pub fn new(
        objects: watch::Receiver<Option<Objects>>,
        keys: Arc<dyn CertificateKeys>,
        table: Arc<CertificateTable>,
    ) -> Self {
        Self { objects, keys, table, file: None, restored: None }
    }

    /// Keeps the last known certificates in this file.
    #[must_use]
    pub fn with_file(mut self, file: CertificateFile) -> Self {
        self.file = Some(Arc::new(file));
        self
    }

    /// Gives the table what was saved, unless that was done. A router does this before it takes its first client.
    pub async fn restore(&mut self) {
        if self.restored.is_none() {
            self.restored = Some(self.saved().await);
        }
    }

    /// Serves the saved certificates, then follows the store until `stop`. A key that cannot be opened is asked for
    /// again.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        self.restore().await;
        let mut held = self.restored.take().unwrap_or_default();
        let mut wait = FIRST_WAIT;
        loop {
            let Some(objects) = self.objects.borrow_and_update().clone() else {
                self.changed(None).await;
                continue;
            };
            let wanted = wanted(&objects);
            let missing = self.open_all(&mut held, &wanted).await;
            if self.show(&mut held, &wanted) {
                self.save(&held).await;
            }
            let again = match missing {
                Missing::None => std::future::pending().left_future(),
                Missing::Refused => sleep(REFUSED_WAIT).right_future(),
                Missing::Unavailable => sleep(wait).right_future(),
            };
            wait = if missing == Missing::Unavailable { LONGEST_WAIT.min(wait * 2) } else { FIRST_WAIT };
            tokio::select! {
                () = self.changed(Some(objects)) => {}
                () = again => {}
            }
        }
    }

    /// Waits until the store says something else of certificates than in `seen`.
    async fn changed(&mut self, seen: Option<Objects>) {
        let is_news = |now: &Option<Objects>| match (&seen, now) {
            (Some(seen), Some(now)) => !now.shares::<Certificate>(seen),
            (_, now) => now.is_some(),
        };
        if self.objects.wait_for(is_news).await.is_err() {
            // Nothing more is heard of the store: what is shown stays.
            std::future::pending::<()>().await;
        }
    }

    async fn saved(&self) -> Held {
        let mut held = Held::default();
        let Some(file) = self.file.clone() else { return held };
        let kept = match tokio::task::spawn_blocking(move || file.read()).await {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                warn(&error, "certificate follower: the saved certificates are ignored");
                return held;
            }
            Err(_) => return held,
        };
        for Kept { id, hosts, chain, key } in kept {
            match ServedCertificate::from_pem(&chain, &key) {
                Ok(served) => {
                    let opened = Arc::new(Opened { id, chain, key, served });
                    held.shown.extend(hosts.into_iter().map(|host| (host, opened.clone())));
                    held.opened.insert(id, opened);
                }
                Err(error) => warn(&error, "certificate follower: a saved certificate is ignored"),
            }
        }
        self.table.apply(held.shown.iter().map(|(host, opened)| (host.clone(), Some(opened.served.clone()))));
        held
    }

    /// Opens the keys of wanted certificates that are not open yet, and forgets those of others. A chain says which key
    /// is its own, so that the key of an unchanged one is not asked for again.
    async fn open_all(&self, held: &mut Held, wanted: &BTreeMap<CertificateId, Wanted>) -> Missing {
        held.opened.retain(|id, opened| wanted.get(id).is_some_and(|wanted| wanted.chain == opened.chain));
        held.told.retain(|id| wanted.contains_key(id));
        let fresh: Vec<_> = wanted.iter().filter(|(id, _)| !held.opened.contains_key(id)).collect();
        let opening = fresh.into_iter().map(async |(id, wanted)| (*id, self.open(*id, &wanted.chain).await));
        let opening: Vec<_> = opening.collect();
        let mut opening = stream::iter(opening).buffer_unordered(AT_ONCE);
        let mut missing = Missing::None;
        while let Some((id, outcome)) = opening.next().await {
            match outcome {
                Ok(opened) => {
                    held.told.remove(&id);
                    held.opened.insert(id, Arc::new(opened));
                }
                Err(error) => {
                    let is_refused = matches!(error, KeyError::Refused { .. });
                    missing = missing.max(if is_refused { Missing::Refused } else { Missing::Unavailable });
                    if held.told.insert(id) {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(certificate = %id, error, "certificate follower: it cannot be served yet");
                    }
                }
            }
        }
        missing
    }

    async fn open(&self, id: CertificateId, chain: &str) -> Result<Opened, KeyError> {
        let key = self.keys.open(id).await?;
        let served = ServedCertificate::from_pem(chain, &key);
        let served = served.map_err(|error| KeyError::Refused { reason: error.to_string() })?;
        Ok(Opened { id, chain: chain.to_owned(), key, served })
    }

    /// Makes the table equal to what is wanted, as far as it can be served. Says whether anything changed.
    fn show(&self, held: &mut Held, wanted: &BTreeMap<CertificateId, Wanted>) -> bool {
        let mut next: BTreeMap<HostPattern, Arc<Opened>> = BTreeMap::new();
        for (id, wanted) in wanted {
            for host in &wanted.hosts {
                let opened = held.opened.get(id).or_else(|| held.shown.get(host));
                next.extend(opened.map(|opened| (host.clone(), opened.clone())));
            }
        }
        let gone = held.shown.keys().filter(|host| !next.contains_key(*host)).map(|host| (host.clone(), None));
        let is_shown = |host, opened| held.shown.get(host).is_some_and(|shown| Arc::ptr_eq(shown, opened));
        let come = next.iter().filter(|(host, opened)| !is_shown(*host, *opened));
        let come = come.map(|(host, opened)| (host.clone(), Some(opened.served.clone())));
        let changes: Vec<_> = gone.chain(come).collect();
        let changed = !changes.is_empty();
        self.table.apply(changes);
        held.shown = next;
        changed
    }

    async fn save(&self, held: &Held) {
        let Some(file) = self.file.clone() else { return };
        let mut kept: BTreeMap<CertificateId, Kept> = BTreeMap::new();
        for (host, opened) in &held.shown {
            let Opened { id, chain, key, .. } = &**opened;
            let bare = || Kept { id: *id, hosts: BTreeSet::new(), chain: chain.clone(), key: key.clone() };
            kept.entry(*id).or_insert_with(bare).hosts.insert(host.clone());
        }
        let kept = kept.into_values().collect();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || file.write(kept)).await {
            warn(&error, "certificate follower: the certificates could not be saved");
        }
    }
}

/// The certificates that there are chains and keys of.
fn wanted(objects: &Objects) -> BTreeMap<CertificateId, Wanted> {
    let certificates = objects.iter::<Certificate>();
    let wanted = certificates.filter_map(|certificate| {
        let pair = certificate.spec.pair(&certificate.status)?;
        Some((certificate.id, Wanted { hosts: certificate.spec.hosts.clone(), chain: pair.chain.clone() }))
    });
    wanted.collect()
}

fn warn(error: &(dyn std::error::Error + 'static), what: &'static str) {
    tracing::warn!(error, "{what}");
}
