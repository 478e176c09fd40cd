//! Takes away images and layers of this node that nothing here needs any more.

use std::time::Duration;

use flynn_build::base::{BaseKind, BaseState, Bases};
use flynn_core::Scope;
use flynn_core::noun::{Job, NodeId, Objects};
use flynn_core::port::Store;
use flynn_core::value::Digest;
use flynn_runtime::image::{Collected, ImageStore, Live};

const EVERY: Duration = Duration::from_secs(3_600);

/// Collects until `stop` is ready. A pass that fails is made again after the same time.
pub(crate) async fn run(
    images: &ImageStore,
    store: &impl Store,
    node: NodeId,
    bases: &Bases,
    stop: impl Future<Output = ()>,
) {
    let collect = async {
        loop {
            tokio::time::sleep(EVERY).await;
            match pass(images, store, node, bases).await {
                Ok(collected) if collected == Collected::default() => {}
                Ok(Collected { documents, layers, bytes }) => {
                    tracing::info!(documents, layers, bytes, "images nobody needs were removed from this node");
                }
                Err(error) => tracing::warn!("images were not collected: {error:#}"),
            }
        }
    };
    tokio::select! {
        () = stop => {}
        () = collect => {}
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
