use std::collections::BTreeMap;

use flynn_core::port::{Exec, LinkError, Runtime};
use flynn_core::{JobId, View};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Request;
use super::guest::Guest;
use crate::agent::driver::Done;
use crate::agent::operation::Tools;
use crate::agent::pass::Visit;

/// More visits at the same time are refused.
const MOST: usize = 256;

/// Somebody is at the terminal or the pipes of this attached job.
pub(in crate::agent) struct Here(pub(super) JobId);

/// Who is there. Their tasks are the driver's.
pub(in crate::agent) struct Visitors {
    here: mpsc::Sender<Here>,
    visits: usize,
    /// How many are at each attached job, and zero where all have left.
    attached: BTreeMap<JobId, usize>,
}

impl Visitors {
    pub(in crate::agent) fn new() -> (Self, mpsc::Receiver<Here>) {
        let (here, receiver) = mpsc::channel(MOST);
        (Self { here, visits: 0, attached: BTreeMap::new() }, receiver)
    }

    /// Begins a visit, whose end is a [`Done::Visited`].
    pub(in crate::agent) fn receive<R: Runtime + Exec + 'static>(
        &mut self,
        request: Request,
        tools: &Tools<R>,
        view: &View,
        tasks: &mut JoinSet<Done>,
    ) {
        if self.visits >= MOST {
            let problem = format!("{MOST} terminals and logs are open already");
            // Whoever asked may have gone.
            let _ = request.reply.send(Err(LinkError::Unavailable { problem }));
            return;
        }
        self.visits += 1;
        let guest = Guest { tools: tools.clone(), view: view.clone(), here: self.here.clone() };
        tasks.spawn(async move { Done::Visited(guest.visit(request).await) });
    }

    pub(in crate::agent) fn came(&mut self, Here(job): Here) {
        *self.attached.entry(job).or_default() += 1;
    }

    /// A visit is over: that at the terminal of `job`, if it names one.
    pub(in crate::agent) fn left(&mut self, job: Option<JobId>) {
        self.visits = self.visits.saturating_sub(1);
        if let Some(count) = job.and_then(|job| self.attached.get_mut(&job)) {
            *count = count.saturating_sub(1);
        }
    }

    pub(in crate::agent) fn visit(&self, job: JobId) -> Visit {
        match self.attached.get(&job) {
            None => Visit::None,
            Some(0) => Visit::Gone,
            Some(_) => Visit::Here,
        }
    }

    /// Forgets the visits to jobs that are no more.
    pub(in crate::agent) fn forget(&mut self, gone: impl Fn(JobId) -> bool) {
        self.attached.retain(|job, count| *count > 0 || !gone(*job));
    }
}
