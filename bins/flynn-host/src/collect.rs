//! Keeps the images and layers of this node: unpacks those that builds begin with before one needs them, sees to it that
//! they outlive a loss of power, and takes away those that nothing here needs any more.

use std::time::Duration;

use flynn_build::base::{BaseKind, BaseState, Bases};
use flynn_core::Scope;
use flynn_core::noun::{Job, NodeId, Objects};
use flynn_core::port::{Snapshots, Store};
use flynn_core::value::Digest;
use flynn_runtime::image::{Collected, ImageStore, Live};

const COLLECT_EVERY: Duration = Duration::from_secs(3_600);
const SETTLE_EVERY: Duration = Duration::from_secs(60);

/// Does so until `stop` is ready. What fails is tried again after the same time.
pub(crate) async fn run(
    images: &ImageStore,
    snapshots: &impl Snapshots,
    store: &impl Store,
    node: NodeId,
    bases: &Bases,
    stop: impl Future<Output = ()>,
) {
    let collect = async {
        loop {
            tokio::time::sleep(COLLECT_EVERY).await;
            match pass(images, store, node, bases).await {
                Ok(collected) if collected == Collected::default() => {}
                Ok(Collected { documents, layers, bytes }) => {
                    tracing::info!(documents, layers, bytes, "images nobody needs were removed from this node");
                }
                Err(error) => tracing::warn!("images were not collected: {error:#}"),
            }
        }
    };
    let settle = async {
        loop {
            tokio::time::sleep(SETTLE_EVERY).await;
            if let Err(error) = images.settle().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "layers would be unpacked again after a loss of power"
                );
            }
        }
    };
    let unpack = async {
        tokio::join!(unpack(BaseKind::Run, bases, snapshots), unpack(BaseKind::Build, bases, snapshots));
        std::future::pending().await
    };
    tokio::select! {
        () = stop => {}
        () = collect => {}
        () = settle => {}
        () = unpack => {}
    }
}

/// Unpacks a base image whenever there is another one.
async fn unpack(kind: BaseKind, bases: &Bases, snapshots: &impl Snapshots) {
    let mut known = None;
    while let Some(base) = bases.next(kind, known.as_ref()).await {
        let unpacked = async { snapshots.discard(&snapshots.prepare(&[base.layer]).await?.key).await };
        match unpacked.await {
            Ok(()) => tracing::info!(kind = kind.as_str(), layer = %base.layer, "base images: one is unpacked"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    kind = kind.as_str(),
                    error,
                    "a base image is unpacked by the first build that needs it"
                );
            }
        }
        known = Some(base);
    }
}

async fn pass(images: &ImageStore, store: &impl Store, node: NodeId, bases: &Bases) -> anyhow::Result<Collected> {
    let objects = store.snapshot(Scope::Node(node)).await?.objects;
    Ok(images.collect(&live(&objects, bases_at_hand(bases))).await?)
}

fn bases_at_hand(bases: &Bases) -> Vec<Vec<Digest>> {
    let states = [BaseKind::Run, BaseKind::Build].map(|kind| bases.state(kind));
    let layer = |state| match state {
        BaseState::Ready(base) => Some(vec![base.layer]),
        _ => None,
    };
    states.into_iter().filter_map(layer).collect()
}

/// What the node has to keep: what its jobs run and what its builds begin with. What a build under way stands on is
/// held by its sandbox.
fn live(objects: &Objects, bases: Vec<Vec<Digest>>) -> Live {
    let manifests = objects.iter::<Job>().map(|job| job.spec.workload.image).collect();
    Live { manifests, chains: bases }
}
