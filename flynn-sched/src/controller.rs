//! The driver around the pass: everything that waits, reads or writes.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::change::Batch;
use flynn_core::election::{Campaign, Epoch, Seat};
use flynn_core::port::{Elections, EventLog, Presence, Seen, Store, TailError};
use flynn_core::{Clock, Conflict, Ids, Principal, Revision, Scope, StoreError, Timestamp, View};
use tokio::time::Instant;

use crate::pass::{Draft, Observed, Plan, Policy, pass};

/// What a controller is told at its start.
#[derive(Debug)]
pub struct Config {
    /// Names this controller among those that campaign for the seat; unique to one run of its process.
    pub holder: String,
    /// What its decisions keep to.
    pub policy: Policy,
    /// Where the ids of what it creates come from.
    pub ids: Ids,
    /// How long the seat is taken for. It is renewed each third of that, and two thirds after the last
    /// renewal was asked for nothing is written any more.
    pub term: Duration,
    /// The longest time between two passes.
    pub poll: Duration,
}

impl Config {
    /// The usual times: a term of 15 seconds, a pass at least every 5 seconds.
    pub fn new(holder: impl Into<String>) -> Self {
        Self {
            holder: holder.into(),
            policy: Policy::default(),
            ids: Ids::from_entropy(),
            term: Duration::from_secs(15),
            poll: Duration::from_secs(5),
        }
    }
}

/// Why a controller ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// The first snapshot could not be taken. Run it again later.
    #[error("controller: no first snapshot")]
    Start(#[source] StoreError),
    /// It may not read the store, or not any more.
    #[error("controller: following the store")]
    Follow(#[source] TailError),
}

/// The controller loop of a cluster. Any number may run; the one with the seat decides.
pub struct Controller<S> {
    store: Arc<S>,
    presence: Arc<dyn Presence>,
    clock: Arc<dyn Clock>,
    config: Config,
}

impl<S> fmt::Debug for Controller<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The shortest time between two passes, so that a burst of changes is taken together.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
/// The first wait after a refused or failed write; it doubles up to the poll interval.
const FIRST_RETRY: Duration = Duration::from_millis(50);

impl<S: Store + EventLog + Elections + 'static> Controller<S> {
    /// A controller of `store`. `clock` is the store's, or close to it.
    pub fn new(store: Arc<S>, presence: Arc<dyn Presence>, clock: Arc<dyn Clock>, config: Config) -> Self {
        Self { store, presence, clock, config }
    }

    /// Controls until `stop` resolves, then gives the seat back. It can also be dropped at any time; the
    /// seat is free again when its term is over.
    ///
    /// # Errors
    /// It could not start, or may not read any more. An unavailable store is waited for.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ControllerError> {
        let Self { store, presence, clock, config } = self;
        let (view, follower) = View::open(store.clone(), Scope::All).await.map_err(ControllerError::Start)?;
        let mut office = Office::new(store, presence, clock, config, view);
        let ended = tokio::select! {
            () = stop => Ok(()),
            error = follower.run() => Err(ControllerError::Follow(error)),
            never = office.serve() => match never {},
        };
        office.leave().await;
        ended
    }
}

/// A term of the seat, measured on this process's own clock.
#[derive(Debug, Clone, Copy)]
struct Term {
    epoch: Epoch,
    renew_at: Instant,
    write_until: Instant,
}

struct Office<S> {
    store: Arc<S>,
    presence: Arc<dyn Presence>,
    clock: Arc<dyn Clock>,
    config: Config,
    view: View,
    term: Option<Term>,
    /// When the lease of another one who has the seat ends.
    held_until: Option<Timestamp>,
    observed: Observed,
    now: Timestamp,
    watched_at: Instant,
    /// The wait after the next refused write.
    retry: Duration,
}

impl<S: Store + Elections> Office<S> {
    fn new(store: Arc<S>, presence: Arc<dyn Presence>, clock: Arc<dyn Clock>, config: Config, view: View) -> Self {
        let now = clock.now().max(view.snapshot().at);
        let (observed, watched_at) = (Observed::new(now), Instant::now());
        let (term, held_until) = (None, None);
        Self { store, presence, clock, config, view, term, held_until, observed, now, watched_at, retry: FIRST_RETRY }
    }

    async fn serve(&mut self) -> std::convert::Infallible {
        let mut changes = self.view.changes();
        loop {
            changes.mark_unchanged();
            let wait = self.turn().await.min(self.config.poll).max(LEAST_PAUSE);
            let mut wake = Instant::now() + wait;
            if let Some(term) = self.term {
                wake = wake.min(term.renew_at.max(Instant::now() + LEAST_PAUSE));
            }
            let least = Instant::now() + LEAST_PAUSE;
            let is_leader = self.term.is_some() && self.retry == FIRST_RETRY;
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                // Closed only when the follower ended, and then the whole run ends.
                Ok(()) = changes.changed(), if is_leader => tokio::time::sleep_until(least).await,
            }
        }
    }

    /// One turn of the loop. Answers how long it may take until the next.
    async fn turn(&mut self) -> Duration {
        if let Err(error) = self.watch().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "controller: nobody's presence is known");
            return self.wait_longer();
        }
        if let Err(error) = self.hold_seat().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "controller: no answer about the seat");
            return self.wait_longer();
        }
        let Some(term) = self.term else {
            // Not longer than until the seat can be had.
            return self.held_until.map_or(self.config.poll, |until| until.since(self.clock.now()));
        };
        let snapshot = self.view.snapshot();
        self.now = self.now.max(self.clock.now()).max(snapshot.at);
        self.observed.marks.note(snapshot.revision, self.now, self.config.policy.drain);
        let plan = pass(&snapshot, &self.observed, self.now, &mut self.config.ids, &self.config.policy);
        match self.carry_out(&plan, term).await {
            Some(revision) => {
                self.retry = FIRST_RETRY;
                self.read_own_writes(revision).await;
                plan.again.map_or(self.config.poll, |again| again.since(self.now))
            }
            None => self.wait_longer(),
        }
    }

    /// Reads who is present. Where the reading had a gap, absence is counted from its end.
    async fn watch(&mut self) -> Result<(), StoreError> {
        let seen = self.presence.seen().await?;
        self.now = self.now.max(self.clock.now());
        let gap = self.watched_at.elapsed() > self.config.poll * 2;
        self.watched_at = Instant::now();
        if gap || has_forgotten(&self.observed, &seen) {
            self.observed.watching_since = self.now;
        }
        self.observed.see(seen);
        Ok(())
    }

    async fn hold_seat(&mut self) -> Result<(), StoreError> {
        let asked = Instant::now();
        if self.term.is_some_and(|term| asked < term.renew_at) {
            return Ok(());
        }
        // A term that ran out unused and is won again has changed nobody's hands.
        let before = self.term.map(|term| term.epoch);
        if self.term.is_some_and(|term| asked >= term.write_until) {
            self.term = None;
        }
        let span = self.config.term;
        let campaign = self.store.campaign(Seat::Controller, &self.config.holder, span).await?;
        self.term = match campaign {
            Campaign::Won(lease) => {
                Some(Term { epoch: lease.epoch, renew_at: asked + span / 3, write_until: asked + span / 3 * 2 })
            }
            Campaign::Held(lease) => {
                self.held_until = Some(lease.until);
                None
            }
        };
        let after = self.term.map(|term| term.epoch);
        if before != after {
            tracing::info!(epoch = after.map(|epoch| epoch.0), "controller: the seat changed hands");
        }
        Ok(())
    }

    /// Commits what was planned. Answers the last revision, or none if something was not done.
    async fn carry_out(&mut self, plan: &Plan, term: Term) -> Option<Revision> {
        let mut last = self.view.snapshot().revision;
        for draft in &plan.cluster {
            last = self.commit(draft, term).await?;
        }
        let mut all_done = true;
        for (_, drafts) in &plan.apps {
            for draft in drafts {
                match self.commit(draft, term).await {
                    Some(revision) => last = revision,
                    None if self.term.is_none() => return None,
                    None => {
                        all_done = false;
                        break;
                    }
                }
            }
        }
        all_done.then_some(last)
    }

    async fn commit(&mut self, draft: &Draft, term: Term) -> Option<Revision> {
        if Instant::now() >= term.write_until {
            self.term = None;
            return None;
        }
        let batch: Batch = draft.sign(Principal::Controller(term.epoch));
        match self.store.commit(batch).await {
            Ok(committed) => Some(committed.revision),
            Err(StoreError::Conflict { conflict: Conflict::Deposed { .. }, .. }) => {
                tracing::info!(epoch = term.epoch.0, "controller: another one has the seat");
                self.term = None;
                None
            }
            Err(error @ (StoreError::Conflict { .. } | StoreError::NotFound { .. })) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "controller: planned anew");
                None
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "controller: a batch was not applied");
                None
            }
        }
    }

    /// The next pass is to see what this one did. A view that lags is no harm: its pass would conflict.
    async fn read_own_writes(&self, revision: Revision) {
        drop(tokio::time::timeout(self.config.poll, self.view.wait_for(revision)).await);
    }

    fn wait_longer(&mut self) -> Duration {
        let wait = self.retry;
        self.retry = self.config.poll.min(wait * 2);
        wait
    }

    async fn leave(&mut self) {
        let Some(term) = self.term.take() else {
            return;
        };
        let resigned = tokio::time::timeout(self.config.term, self.store.resign(Seat::Controller, term.epoch));
        if let Ok(Err(error)) = resigned.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "controller: the seat was not given back");
        }
    }
}

/// Whether somebody who was seen before is missing, which only happens when presence was restarted, or
/// after a day.
fn has_forgotten(observed: &Observed, seen: &[Seen]) -> bool {
    observed.seen.keys().any(|member| seen.iter().all(|seen| seen.member != *member))
}
