//! A store that is out of reach for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use flynn_core::change::Batch;
use flynn_core::noun::{Exit, JobState};
use flynn_core::port::{Committed, EventLog, LogSelection, Snapshot, Store, Tail};
use flynn_core::{MemoryStore, Revision, Scope, StoreError};

use crate::ground::Ground;

/// A store that can be cut off from those who write.
struct Cut {
    store: Arc<MemoryStore>,
    is_cut: AtomicBool,
    refused: AtomicU32,
}

#[async_trait]
impl Store for Cut {
    async fn snapshot(&self, scope: Scope) -> Result<Snapshot, StoreError> {
        self.reach("snapshot")?;
        self.store.snapshot(scope).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.reach("commit")?;
        self.store.commit(batch).await
    }
}

impl EventLog for Cut {
    fn tail(&self, scope: Scope, after: Revision) -> Tail {
        self.store.tail(scope, after)
    }
}

impl Cut {
    fn reach(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.is_cut.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::Unavailable { operation, source: "the wire is cut".into() });
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_go_on_and_their_ends_are_told_later() {
    let ground = Ground::new(false).await;
    let store = Arc::new(Cut {
        store: ground.cluster.store.clone(),
        is_cut: AtomicBool::new(false),
        refused: AtomicU32::new(0),
    });
    let start = || ground.start_in(store.clone(), ground.processes(), Arc::new(ground.plain_workplace()));
    let agent = start();
    let end = ground.place.path().join("end");
    let job =
        ground.service(&format!("while [ ! -e {} ]; do sleep 0.02; done; echo over; exit 4", end.display())).await;
    let stays = ground.service("while true; do sleep 0.05; done").await;
    ground.cluster.up(job).await;
    ground.cluster.up(stays).await;
    store.is_cut.store(true, Ordering::SeqCst);
    std::fs::write(&end, "").unwrap();
    let refused = async || (store.refused.load(Ordering::SeqCst) >= 3).then_some(());
    ground.cluster.until("the end was told in vain", refused).await;
    assert!(matches!(ground.cluster.state(job).await, JobState::Up { .. }));
    // What nobody has acknowledged is still there, and no agent takes it away; not even one that starts without
    // a store.
    agent.kill().await;
    let before = store.refused.load(Ordering::SeqCst);
    let agent = start();
    let refused = async || (store.refused.load(Ordering::SeqCst) > before + 1).then_some(());
    ground.cluster.until("the store was asked in vain", refused).await;
    assert!(ground.files(job).exit().exists());
    store.is_cut.store(false, Ordering::SeqCst);
    assert_eq!(ground.cluster.exit(job).await, Exit::Code(4));
    ground.cluster.up(stays).await;
    ground.cleared(job).await;
    assert_eq!(agent.lines(ground.cluster.app, LogSelection::Job(job)).await[0].text, "over");
    ground.finish(agent).await;
}
