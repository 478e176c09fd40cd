//! What waits, reads and writes around the pass.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::noun::{Job, JobStatus, Node, Objects};
use flynn_core::port::{
    Container, ContainerState, EventLog, Exec, LinkHandler, LogLine, LogSink, LogStream, Runtime, Signal, Store,
    TailError, Wakes,
};
use flynn_core::{Ids, JobId, Scope, StoreError, Timestamp, View};
use futures::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::commit::{Committed, MOST_REPORTS, Report, commit, since};
use super::meter::{Meter, Round};
use super::operation::{Failure, Operation, Tools};
use super::options::{AgentOptions, AgentParts};
use super::pass::{Act, Ending, Memory, Observed, Plan, Trouble, pass};
use super::retry::{Refusals, Retry};
use super::visit::{Door, Here, Request, Visitors};
use super::watch::{Change, Watches};
use super::{operation, presence};

/// Why an agent ended before it was told to. Its jobs go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// It may not read its node's part of the store, or not any more.
    #[error("agent: following the store")]
    Follow(#[source] TailError),
    /// The store refused the first reading in a way that will not pass.
    #[error("agent: no first snapshot")]
    Start(#[source] StoreError),
}

/// The agent of a node. There is one at a time for each node and each runtime.
pub struct Agent<S, R> {
    parts: AgentParts<S, R>,
    options: AgentOptions,
    door: Arc<Door>,
    requests: mpsc::Receiver<Request>,
}

impl<S, R> fmt::Debug for Agent<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The shortest time between two passes, so that a burst of events is taken together.
const LEAST_PAUSE: Duration = Duration::from_millis(2);

impl<S: Store + EventLog + 'static, R: Runtime + Exec + 'static> Agent<S, R> {
    /// An agent that has not begun.
    pub fn new(parts: AgentParts<S, R>, options: AgentOptions) -> Self {
        let (door, requests) = Door::new();
        Self { parts, options, door: Arc::new(door), requests }
    }

    /// What answers for this node through a [`NodeLink`](flynn_core::port::NodeLink), while the agent runs.
    pub fn link(&self) -> Arc<dyn LinkHandler> {
        self.door.clone()
    }

    /// Runs the node's jobs until `stop` resolves. They go on without it; whoever is attached to one through
    /// it is hung up on. It can also be dropped at any time.
    ///
    /// # Errors
    /// It may not read the store, or not any more. An unavailable store is waited for.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), AgentError> {
        let Self { parts, options, requests, .. } = self;
        tokio::pin!(stop);
        let mut retry = Retry::new(options.poll);
        let (view, follower) = loop {
            let opened = tokio::select! {
                () = &mut stop => return Ok(()),
                opened = View::open(parts.store.clone(), Scope::Node(options.node)) => opened,
            };
            match opened {
                Ok(opened) => break opened,
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Internal { .. })) => {
                    let problem = operation::chain(&error);
                    tracing::warn!(problem, "agent: the store is out of reach, trying again");
                }
                Err(error) => return Err(AgentError::Start(error)),
            }
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = tokio::time::sleep(retry.failed()) => {}
            }
        };
        let incarnation: JobId = Ids::from_entropy().next(parts.clock.now());
        let beats = presence::beat(
            parts.presence.clone(),
            options.node,
            incarnation.to_string(),
            view.clone(),
            options.beat,
            options.lease,
        );
        let mut driver = Driver::new(parts, options, view, requests);
        let ended = tokio::select! {
            () = stop => Ok(()),
            error = follower.run() => Err(AgentError::Follow(error)),
            never = beats => match never {},
            never = driver.serve() => match never {},
        };
        driver.tasks.shutdown().await;
        ended
    }
}

/// What a task of the driver has come to.
pub(super) enum Done {
    Operation {
        job: JobId,
        operation: Operation,
        result: Result<(), Failure>,
    },
    Reported(Committed),
    Health(Change),
    Measured(Round),
    /// A visit is over; it names the job whose terminal it was at.
    Visited(Option<JobId>),
}

struct Driver<S, R> {
    parts: AgentParts<S, R>,
    options: AgentOptions,
    view: View,
    tools: Tools<R>,
    tasks: JoinSet<Done>,
    observed: Observed,
    /// The preparations under way, and by what each is told to leave off.
    preparing: BTreeMap<JobId, Arc<Notify>>,
    watches: Watches,
    meter: Meter,
    visitors: Visitors,
    here: mpsc::Receiver<Here>,
    requests: mpsc::Receiver<Request>,
    reporting: bool,
    refusals: Refusals,
    /// For failures of the runtime and the workplace.
    look_retry: Retry,
    /// For commits that failed.
    report_retry: Retry,
    /// Nothing is reported before.
    report_at: Option<Instant>,
    /// When a report that was refused is due again.
    refused_until: Option<Instant>,
    /// Time that never runs backwards or jumps, whatever the clock does.
    began: (Timestamp, Instant),
}

impl<S: Store + EventLog + 'static, R: Runtime + Exec + 'static> Driver<S, R> {
    fn new(parts: AgentParts<S, R>, options: AgentOptions, view: View, requests: mpsc::Receiver<Request>) -> Self {
        let tools =
            Tools { runtime: parts.runtime.clone(), workplace: parts.workplace.clone(), logs: parts.logs.clone() };
        let (visitors, here) = Visitors::new();
        let began = (parts.clock.now(), Instant::now());
        let longest = options.poll;
        let meter = Meter::new(options.measure);
        let observed = Observed { node: options.status.clone(), ..Observed::default() };
        Self {
            parts,
            options,
            view,
            tools,
            tasks: JoinSet::new(),
            observed,
            preparing: BTreeMap::new(),
            watches: Watches::default(),
            meter,
            visitors,
            here,
            requests,
            reporting: false,
            refusals: Refusals::new(longest),
            look_retry: Retry::new(longest),
            report_retry: Retry::new(longest),
            report_at: None,
            refused_until: None,
            began,
        }
    }

    fn now(&self) -> Timestamp {
        self.began.0 + self.began.1.elapsed()
    }

    async fn serve(&mut self) -> Infallible {
        let mut changes = self.view.changes();
        let mut exits = self.parts.runtime.exits();
        loop {
            changes.mark_unchanged();
            let mut wake = Instant::now() + self.options.poll;
            match self.turn().await {
                Ok(again) => {
                    self.look_retry.succeeded();
                    let again = again.map(|again| Instant::now() + again.since(self.now()));
                    wake = [again, self.report_at, self.refused_until, self.meter.next()]
                        .into_iter()
                        .flatten()
                        .fold(wake, Instant::min);
                }
                Err(problem) => {
                    tracing::warn!(problem, "agent: what is there is not known");
                    wake = Instant::now() + self.look_retry.failed();
                }
            }
            self.wait(&mut changes, &mut exits, wake.max(Instant::now() + LEAST_PAUSE)).await;
            tokio::time::sleep(LEAST_PAUSE).await;
            while let Some(done) = self.tasks.try_join_next() {
                self.take(done);
            }
            while let Ok(here) = self.here.try_recv() {
                self.visitors.came(here);
            }
        }
    }

    async fn wait(
        &mut self,
        changes: &mut tokio::sync::watch::Receiver<flynn_core::Revision>,
        exits: &mut Wakes,
        wake: Instant,
    ) {
        tokio::select! {
            () = tokio::time::sleep_until(wake) => {}
            // Closed only when the follower ended, and then the whole run ends.
            Ok(()) = changes.changed() => {}
            Some(()) = exits.next() => {}
            Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => self.take(done),
            Some(here) = self.here.recv() => self.visitors.came(here),
            Some(request) = self.requests.recv() => self.visit(request),
        }
    }

    /// Looks at all there is, decides, and sets about it. Answers when to look again at the latest.
    async fn turn(&mut self) -> Result<Option<Timestamp>, String> {
        let containers = self.parts.runtime.list().await.map_err(|error| operation::chain(&error))?;
        let kept = self.parts.workplace.list().await.map_err(|error| operation::chain(&error))?;
        let objects = self.view.snapshot().objects;
        let now = self.now();
        self.observed.containers = containers.into_iter().map(|Container { job, state }| (job, state)).collect();
        self.observed.kept = kept;
        self.observed.preparing = self.preparing.keys().copied().collect();
        // A log that has begun is kept too, if nothing else.
        for job in self.parts.logs.begun() {
            self.observed.kept.entry(job).or_default();
        }
        self.remember(&objects, now);
        let plan = pass(self.options.node, &objects, &self.observed, now);
        self.watches.follow(&plan.watch, &mut self.tasks);
        self.measure(&objects);
        let again = plan.again;
        self.carry_out(plan, &objects);
        Ok(again)
    }

    fn measure(&mut self, objects: &Objects) {
        let is_running = |state: &ContainerState| matches!(state, ContainerState::Running { .. });
        let running = self.observed.containers.iter().filter(|(_, state)| is_running(state));
        let limits =
            running.filter_map(|(job, _)| Some((*job, objects.get(*job)?.spec.resources.disk_bytes))).collect();
        if let Some(round) = self.meter.begin(limits, &self.parts.workplace, Instant::now()) {
            self.tasks.spawn(async move { Done::Measured(round.await) });
        }
    }

    /// What is to be kept free of the node's disk, in bytes.
    fn reserve(&self) -> u64 {
        self.view.snapshot().objects.get(self.options.node).map_or(0, |node| node.spec.reserved.disk_bytes)
    }

    /// Brings what is remembered up to what is there, and forgets the rest.
    fn remember(&mut self, objects: &Objects, now: Timestamp) {
        let Observed { containers, kept, memories, busy, .. } = &mut self.observed;
        memories.retain(|job, _| {
            let is_live = objects.get(*job).is_some_and(|job| !job.status.state.is_end());
            is_live || containers.contains_key(job) || kept.contains_key(job) || busy.contains(job)
        });
        for (job, state) in containers {
            if matches!(state, ContainerState::Created | ContainerState::Running { .. }) {
                memories.entry(*job).or_default().seen.get_or_insert(now);
            }
        }
        for (job, memory) in memories {
            memory.visit = self.visitors.visit(*job);
        }
        self.visitors.forget(|job| objects.get(job).is_none());
    }

    fn carry_out(&mut self, plan: Plan, objects: &Objects) {
        let mut reports = Vec::new();
        for act in plan.acts {
            match act {
                Act::Prepare(job) if self.preparing.len() < self.options.preparations => {
                    if let Some(stored) = objects.get(job) {
                        self.begin(job, Operation::Prepare(stored.clone(), self.reserve()));
                    }
                }
                // One of those under way will end, and wake the next pass.
                Act::Prepare(_) => {}
                Act::GiveUp(job) => self.preparing.get(&job).into_iter().for_each(|told| told.notify_one()),
                Act::Start(job) => self.begin(job, Operation::Start),
                Act::Signal(job, signal) => self.begin(job, Operation::Signal(signal)),
                Act::Clear(job) => self.begin(job, Operation::Clear),
                Act::Report(job, state) => reports.extend(objects.get(job).map(|stored| {
                    let ended = match self.observed.containers.get(&job) {
                        Some(ContainerState::Exited { at, .. }) => Some(*at),
                        _ => None,
                    };
                    let since = since(&state, ended, self.parts.clock.now());
                    Report::Job(stored.clone(), JobStatus { state, since })
                })),
                Act::ReportNode(status) => reports.extend(objects.get(self.options.node).map(|node| {
                    let node: &flynn_core::noun::Stored<Node> = node;
                    Report::Node(node.id, node.status_version, status)
                })),
            }
        }
        self.report(reports);
    }

    fn begin(&mut self, job: JobId, operation: Operation) {
        if !self.observed.busy.insert(job) {
            return;
        }
        let (tools, given_up) = (self.tools.clone(), Arc::new(Notify::new()));
        if let Operation::Prepare(..) = operation {
            self.preparing.insert(job, given_up.clone());
        }
        self.tasks.spawn(async move {
            let result = tokio::select! {
                result = tools.carry_out(job, operation.clone()) => result,
                // What there is by then is the next pass's to judge.
                () = given_up.notified() => Ok(()),
            };
            Done::Operation { job, operation, result }
        });
    }

    fn report(&mut self, mut reports: Vec<Report>) {
        self.refused_until = None;
        if self.reporting {
            return;
        }
        self.refused_until = self.refusals.hold_back(&mut reports, Instant::now());
        if reports.is_empty() {
            self.report_at = None;
        }
        let too_early = self.report_at.is_some_and(|at| Instant::now() < at);
        if reports.is_empty() || too_early {
            return;
        }
        self.reporting = true;
        self.report_at = None;
        reports.truncate(MOST_REPORTS);
        let (store, view, logs) = (self.parts.store.clone(), self.view.clone(), self.parts.logs.clone());
        let node = self.options.node;
        self.tasks.spawn(async move { Done::Reported(commit(&*store, &view, &logs, node, reports).await) });
    }

    fn take(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let done = match done {
            Ok(done) => done,
            // A defect: better a new agent that looks at all there is than one that waits for ever.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // A watch that was given up.
            Err(_) => return,
        };
        match done {
            Done::Operation { job, operation, result } => self.operated(job, &operation, result),
            Done::Reported(Committed { refused, problem }) => {
                self.reporting = false;
                let now = Instant::now();
                refused.into_iter().for_each(|refused| self.refusals.note(refused, now));
                match problem {
                    None => self.report_retry.succeeded(),
                    Some(problem) => {
                        tracing::warn!(problem, "agent: a report was not committed, trying again");
                        self.report_at = Some(now + self.report_retry.failed());
                    }
                }
            }
            Done::Health(change) => {
                let job = change.job;
                if let Some((health, failure)) = self.watches.take(change, &mut self.tasks) {
                    self.observed.memories.entry(job).or_default().health = Some(health);
                    self.say(job, failure.map(|failure| format!("is unhealthy: {failure}")));
                }
            }
            Done::Measured(round) => {
                for (job, over) in self.meter.take(round, self.reserve(), Instant::now()) {
                    let memory = self.observed.memories.entry(job).or_default();
                    if memory.over.replace(over).is_none() {
                        tracing::info!(%job, "agent: a job is killed: {over}");
                    }
                }
            }
            Done::Visited(job) => {
                // Whoever leaves was there: the news of that came first.
                while let Ok(here) = self.here.try_recv() {
                    self.visitors.came(here);
                }
                self.visitors.left(job);
            }
        }
    }

    fn operated(&mut self, job: JobId, operation: &Operation, result: Result<(), Failure>) {
        let now = self.now();
        self.observed.busy.remove(&job);
        self.preparing.remove(&job);
        let memory: &mut Memory = self.observed.memories.entry(job).or_default();
        match result {
            Ok(()) => {
                memory.trouble = None;
                if let Operation::Signal(sent) = operation {
                    memory.ending = Some(ended(memory.ending, *sent, now));
                }
            }
            Err(Failure { reason, is_lasting }) => {
                tracing::warn!(%job, ?operation, reason, is_lasting, "agent: an operation failed");
                let is_first = memory.trouble.is_none() && !is_lasting && matches!(operation, Operation::Prepare(..));
                let news = is_first.then(|| format!("cannot be started yet: {reason}"));
                memory.trouble = Some(Trouble::after(memory.trouble.as_ref(), reason, is_lasting, now));
                self.say(job, news);
            }
        }
    }

    /// Tells the app's developer what is with a job.
    fn say(&self, job: JobId, news: Option<String>) {
        let snapshot = self.view.snapshot();
        let stored = snapshot.objects.get::<Job>(job);
        if let (Some(stored), Some(news)) = (stored, news) {
            let text = format!("{} {news}", stored.name());
            let stream = LogStream::Platform(stored.spec.app);
            self.parts.logs.emit(LogLine { at: self.parts.clock.now(), stream, text });
        }
    }

    fn visit(&mut self, request: Request) {
        self.visitors.receive(request, &self.tools, &self.view, &mut self.tasks);
    }
}

fn ended(before: Option<Ending>, sent: Signal, now: Timestamp) -> Ending {
    Ending { began: before.map_or(now, |before| before.began), sent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_keeps_its_beginning() {
        let at = Timestamp::from_millis;
        let first = ended(None, Signal::Term, at(5));
        assert_eq!(ended(Some(first), Signal::Kill, at(9)), Ending { began: at(5), sent: Signal::Kill });
    }
}
