use std::sync::Arc;
use std::time::Duration;

use flynn_build::collect::{CollectSettings, Collected, Collector};
use flynn_core::SystemClock;
use flynn_core::local::DirBlobs;
use flynn_core::sqlite::{SqliteOptions, SqliteStore};
use flynn_instance::Layout;

/// What keeps the blobs of an instance that does not run from being collected: a build that never ends, an image that
/// cannot be read. What nobody names is taken away.
pub fn of_blobs(layout: &Layout) -> Vec<String> {
    if !layout.store().exists() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let collected = runtime.block_on(async {
        let clock = Arc::new(SystemClock);
        let store = Arc::new(SqliteStore::open(SqliteOptions::new(layout.store())).await.unwrap());
        let blobs = Arc::new(DirBlobs::open(layout.blobs(), clock.clone()).await.unwrap());
        let settings = CollectSettings { every: Duration::ZERO, keep: Duration::ZERO };
        let collected = Collector::new(store.clone(), blobs, clock, settings).pass().await;
        store.close().await;
        collected
    });
    match collected {
        Ok(Collected { cut_short: false, .. }) => Vec::new(),
        Ok(_) => vec!["blobs: a build is under way forever, so that none is collected".to_owned()],
        Err(error) => vec![format!("blobs: {:#}", anyhow::Error::from(error))],
    }
}
