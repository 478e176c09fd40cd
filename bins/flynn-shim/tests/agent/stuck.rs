//! Jobs that cannot be got ready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use flynn_core::JobId;
use flynn_core::noun::{Desired, Exit, Job, Stored};
use flynn_core::port::{ContainerSpec, ExecRequest, Process};
use flynn_runtime::agent::pass::Kept;
use flynn_runtime::agent::{PlainWorkplace, Workplace, WorkplaceError};

use crate::ground::Ground;

/// A workplace that gets everything ready and then does not come back.
struct Stuck {
    inner: PlainWorkplace,
    under_way: Arc<AtomicU32>,
}

/// Counts a preparation for as long as it was not dropped.
struct UnderWay(Arc<AtomicU32>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Workplace for Stuck {
    async fn prepare(&self, job: &Stored<Job>) -> Result<ContainerSpec, WorkplaceError> {
        self.inner.prepare(job).await?;
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let _under_way = UnderWay(self.under_way.clone());
        std::future::pending().await
    }

    async fn process(&self, job: &Stored<Job>, request: &ExecRequest) -> Result<Process, WorkplaceError> {
        self.inner.process(job, request).await
    }

    async fn release(&self, job: JobId) -> Result<(), WorkplaceError> {
        self.inner.release(job).await
    }

    async fn list(&self) -> Result<BTreeMap<JobId, Kept>, WorkplaceError> {
        self.inner.list().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_told_to_end_is_not_prepared_any_further() {
    let ground = Ground::new(false).await;
    let under_way = Arc::new(AtomicU32::new(0));
    let workplace = Stuck { inner: ground.plain_workplace(), under_way: under_way.clone() };
    let agent = ground.start(ground.processes(), Arc::new(workplace));
    let jobs = [ground.service("true").await, ground.service("true").await];
    let is = |wanted: u32| {
        let under_way = under_way.clone();
        async move || (under_way.load(Ordering::SeqCst) == wanted).then_some(())
    };
    ground.cluster.until("both are being prepared", is(2)).await;
    ground.cluster.tell(jobs[0], Desired::Down).await;
    assert!(matches!(ground.cluster.exit(jobs[0]).await, Exit::NotStarted { .. }));
    ground.cluster.until("the other one is", is(1)).await;
    ground.cleared(jobs[0]).await;
    ground.finish(agent).await;
    assert_eq!(under_way.load(Ordering::SeqCst), 0);
}
