use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flynn_core::noun::{Objects, RouterId};
use flynn_core::port::{Beat, EventLog, Member, Presence, Store};
use flynn_core::{Clock, Follower, Revision, Scope, StoreError, Timestamp, View};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{SavedTable, TableFile};
use crate::table::{Content, ShardedTable};

/// How long a table may be served without contact to the control plane. After that time an address may
/// have been given to another app.
const LONGEST_WITHOUT_CONTACT: Duration = Duration::from_secs(24 * 3_600);
/// How far the clock may have been ahead when a table was written; beyond that its age is unknown.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);
/// How often the time of the last contact is written down.
const REFRESH: Duration = Duration::from_secs(600);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The same where it is refused, which somebody has to set right.
const LONGEST_DENIED: Duration = Duration::from_secs(60);
/// For how long a request keeps the instance that has it from being given up. A controller waits a little longer for
/// routers by default.
const LONGEST_ANSWER: Duration = Duration::from_secs(8);

/// How a follower presents itself.
#[derive(Debug, Clone)]
pub struct FollowSettings {
    /// The router it speaks for.
    pub router: RouterId,
    /// Different at every start of the process.
    pub incarnation: String,
    /// Where the last known table is kept; nowhere if none.
    pub file: Option<PathBuf>,
    /// The time between two beats while nothing changes.
    pub beat: Duration,
    /// How long it counts as present after a beat.
    pub lease: Duration,
}

impl FollowSettings {
    /// Beats every 5 seconds, with a lease of 15, and no file.
    pub fn new(router: RouterId, incarnation: impl Into<String>) -> Self {
        let (beat, lease) = (Duration::from_secs(5), Duration::from_secs(15));
        Self { router, incarnation: incarnation.into(), file: None, beat, lease }
    }

    /// Keeps the last known table in this file.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }
}

/// Keeps a table equal to what the store says and acknowledges what it did.
///
/// A revision is acknowledged when the table holds what follows from it, when no request is being routed by
/// an older table, when instances that were taken out have answered all requests or eight seconds have passed, and when the file does not hold an older one either: a restart must not bring back what
/// was acknowledged as gone.
#[derive(Debug)]
pub struct RouteFollower<S: ?Sized> {
    presence: Arc<dyn Present>,
    table: Arc<ShardedTable>,
    clock: Arc<dyn Clock>,
    settings: FollowSettings,
    /// The last contact to the control plane, on a clock that does not step.
    contact: Mutex<Option<Instant>>,
    /// Whether what changes in the store arrives.
    follows: AtomicBool,
    /// What the store says, as far as the router may read it.
    objects: watch::Sender<Option<Objects>>,
    /// What the table was given out of the file.
    restored: Option<Installed>,
    store: Arc<S>,
}

/// A presence that can be shown.
trait Present: Presence + std::fmt::Debug {}
impl<P: Presence + std::fmt::Debug> Present for P {}

/// What the table holds.
#[derive(Debug, Clone, Default)]
struct Installed {
    content: Content,
    revision: Option<Revision>,
    /// Counts the times that the table was changed.
    generation: u64,
}

/// What may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Settled {
    revision: Option<Revision>,
    generation: u64,
}

impl<S: Store + EventLog + ?Sized> RouteFollower<S> {
    /// A follower of `store` that writes `table`. Nothing else may write it.
    pub fn new<P>(
        store: Arc<S>,
        presence: Arc<P>,
        table: Arc<ShardedTable>,
        clock: Arc<dyn Clock>,
        settings: FollowSettings,
    ) -> Self
    where
        P: Presence + std::fmt::Debug + 'static,
    {
        let (contact, follows, objects) = (Mutex::default(), AtomicBool::new(false), watch::Sender::default());
        Self { store, presence, table, clock, settings, contact, follows, objects, restored: None }
    }

    /// What the store says, for others who follow it as well; none before it has answered. It ends with the follower.
    pub fn objects(&self) -> watch::Receiver<Option<Objects>> {
        self.objects.subscribe()
    }

    /// Gives the table what was saved, unless that was done. A router does this before it takes its first client, who
    /// would else hear that there is no such app.
    pub async fn restore(&mut self) {
        if self.restored.is_none() {
            self.restored = Some(self.saved().await);
        }
    }

    /// Serves the saved table, then follows the store until `stop`. A control plane that is unavailable, or does not
    /// let the router read, is asked again; meanwhile the table stays as it is, for a day at most.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        self.restore().await;
        let installed = watch::Sender::new(self.restored.take().unwrap_or_default());
        let settled = watch::Sender::new(Settled::default());
        tokio::select! {
            () = self.converge(&installed) => {}
            () = self.settle(installed.subscribe(), &settled) => {}
            () = self.beat(settled.subscribe()) => {}
            () = stop => {}
        }
    }

    async fn saved(&self) -> Installed {
        let Some(path) = self.settings.file.clone() else { return Installed::default() };
        let saved = match blocking(move || TableFile::new(path).read()).await {
            Ok(Some(saved)) => saved,
            Ok(None) => return Installed::default(),
            Err(error) => {
                warn(&error, "route follower: the saved table is ignored");
                return Installed::default();
            }
        };
        let Some(age) = usable_age(saved.as_of, self.clock.now()) else {
            tracing::warn!(as_of = ?saved.as_of, "route follower: the saved table is of another day and ignored");
            return Installed::default();
        };
        self.set_contact(Instant::now().checked_sub(age));
        self.table.apply(saved.content.changes_from(&Content::default()));
        Installed { content: saved.content, revision: None, generation: 1 }
    }

    /// Makes the table equal to the view, again and again.
    async fn converge(&self, installed: &watch::Sender<Installed>) {
        loop {
            let (view, follower) = self.open(installed).await;
            self.touched();
            self.follows.store(true, Ordering::Relaxed);
            tokio::select! {
                error = follower.run() => {
                    warn(&error, "route follower: the store lets nobody follow, serving the last table and trying again");
                }
                () = self.track(view, installed) => {}
            }
            self.follows.store(false, Ordering::Relaxed);
            sleep(LONGEST_WAIT).await;
        }
    }

    async fn open(&self, installed: &watch::Sender<Installed>) -> (View, Follower<S>) {
        let mut wait = FIRST_WAIT;
        loop {
            let longest = match View::open(self.store.clone(), Scope::Router).await {
                Ok(opened) => return opened,
                Err(error @ StoreError::NotAllowed { .. }) => {
                    warn(&error, "route follower: the store does not let it read, trying again");
                    LONGEST_DENIED
                }
                Err(error) => {
                    warn(&error, "route follower: the store does not answer, trying again");
                    LONGEST_WAIT
                }
            };
            if !self.in_touch() {
                self.install(installed, Content::default(), None);
            }
            sleep(wait.min(longest)).await;
            wait = longest.min(wait * 2);
        }
    }

    async fn track(&self, view: View, installed: &watch::Sender<Installed>) {
        let mut changes = view.changes();
        let (mut content, mut objects) = (Content::default(), Objects::default());
        loop {
            changes.mark_unchanged();
            let snapshot = view.snapshot();
            content = content.advance(&objects, &snapshot.objects);
            objects = snapshot.objects;
            self.objects.send_replace(Some(objects.clone()));
            let served = if self.in_touch() { content.clone() } else { Content::default() };
            self.install(installed, served, Some(snapshot.revision));
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => self.touched(),
                    Err(_) => return,
                },
                () = sleep(self.settings.beat) => {}
            }
        }
    }

    fn install(&self, installed: &watch::Sender<Installed>, content: Content, revision: Option<Revision>) {
        let changes = content.changes_from(&installed.borrow().content);
        let is_same = changes.is_empty() && installed.borrow().revision == revision;
        if is_same {
            return;
        }
        let step = u64::from(!changes.is_empty());
        self.table.apply(changes);
        installed.send_modify(|now| *now = Installed { content, revision, generation: now.generation + step });
    }

    /// Finds out which revision may be acknowledged.
    async fn settle(&self, mut installed: watch::Receiver<Installed>, settled: &watch::Sender<Settled>) {
        let mut saved_generation = None;
        loop {
            let now = installed.borrow_and_update().clone();
            if let Some(revision) = now.revision {
                if saved_generation != Some(now.generation) {
                    self.table.settle().await;
                    if !self.save(&now, revision).await {
                        sleep(LONGEST_WAIT).await;
                        continue;
                    }
                    saved_generation = Some(now.generation);
                    self.table.emptied(LONGEST_ANSWER).await;
                }
                settled.send_replace(Settled { revision: now.revision, generation: now.generation });
            }
            match timeout(REFRESH, installed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => saved_generation = None,
            }
        }
    }

    /// Whether the file does not hold an older table any more.
    async fn save(&self, installed: &Installed, revision: Revision) -> bool {
        let Some(path) = self.settings.file.clone() else { return true };
        let as_of = self.clock.now().before(self.silence().unwrap_or(LONGEST_WITHOUT_CONTACT));
        let saved = SavedTable { revision, as_of, content: installed.content.clone() };
        let outcome = blocking(move || {
            let file = TableFile::new(path);
            file.write(&saved).or_else(|error| {
                warn(&error, "route follower: the table could not be saved, so the file is removed");
                file.remove()
            })
        });
        match outcome.await {
            Ok(()) => true,
            Err(error) => {
                warn(&error, "route follower: an old table stays on disk, so nothing is acknowledged");
                false
            }
        }
    }

    async fn beat(&self, mut settled: watch::Receiver<Settled>) {
        let (mut sent, mut failing) = (Settled::default(), false);
        loop {
            let now = *settled.borrow_and_update();
            if let Some(acknowledged) = now.revision {
                let member = Member::Router(self.settings.router);
                let beat = Beat { incarnation: self.settings.incarnation.clone(), acknowledged };
                match timeout(self.settings.lease, self.presence.beat(member, beat, self.settings.lease)).await {
                    Ok(Ok(())) => {
                        // A beat alone tells nothing of what has changed.
                        if self.follows.load(Ordering::Relaxed) {
                            self.touched();
                        }
                        (sent, failing) = (now, false);
                    }
                    Ok(Err(error)) if !failing => {
                        warn(&error, "route follower: a beat failed");
                        failing = true;
                    }
                    Err(_) if !failing => {
                        tracing::warn!("route follower: a beat got no answer");
                        failing = true;
                    }
                    _ => {}
                }
            }
            // A revision that changed nothing can wait for the next beat.
            let is_urgent = |settled: &Settled| settled.generation != sent.generation;
            let changed = async {
                if failing { std::future::pending().await } else { settled.wait_for(is_urgent).await.map(drop) }
            };
            if let Ok(Err(_)) = timeout(self.settings.beat, changed).await {
                return;
            }
        }
    }

    fn touched(&self) {
        self.set_contact(Some(Instant::now()));
    }

    fn set_contact(&self, at: Option<Instant>) {
        *self.contact.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// The time since the last contact.
    fn silence(&self) -> Option<Duration> {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    fn in_touch(&self) -> bool {
        self.silence().is_some_and(|silence| silence < LONGEST_WITHOUT_CONTACT)
    }
}

/// The age at `now` of what was true at `as_of`, if it may still be served.
fn usable_age(as_of: Timestamp, now: Timestamp) -> Option<Duration> {
    let age = now.since(as_of);
    (age < LONGEST_WITHOUT_CONTACT && as_of.since(now) <= CLOCK_TOLERANCE).then_some(age)
}

fn warn(error: &(dyn std::error::Error + 'static), what: &'static str) {
    tracing::warn!(error, "{what}");
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
