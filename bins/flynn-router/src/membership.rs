use std::time::Duration;

use flynn_core::client::RemoteStore;
use flynn_core::noun::{Liveness, RouterId, RouterStatus};
use flynn_core::port::Store;
use flynn_core::{Batch, Change, Principal, Scope, StoreError};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Reports the router and its version to the store, once. From then on, its beats say that it is there.
pub(crate) async fn announce(store: &RemoteStore, router: RouterId) {
    let mut wait = FIRST_WAIT;
    loop {
        match report(store, router).await {
            Ok(()) => return,
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!("the router could not report itself, trying again: {error:#}");
            }
        }
        tokio::time::sleep(wait).await;
        wait = LONGEST_WAIT.min(wait * 2);
    }
}

async fn report(store: &RemoteStore, router: RouterId) -> Result<(), StoreError> {
    let snapshot = store.snapshot(Scope::Router).await?;
    let Some(known) = snapshot.objects.get(router) else {
        return Err(StoreError::NotFound { operation: "report the router", id: router.into() });
    };
    let liveness = match known.status.liveness {
        // The first word of a router is its own; later ones are the controller's.
        Liveness::Unseen => Liveness::Ready,
        known => known,
    };
    let status = RouterStatus { liveness, version: env!("CARGO_PKG_VERSION").to_owned() };
    if status == known.status {
        return Ok(());
    }
    store.commit(Batch::new(Principal::Router(router)).with(Change::report(router, status))).await.map(drop)
}
