//! Takes away all that a node has made on its machine but its data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use flynn_build::settings::Settings;
use flynn_core::client::{Credential, Endpoint, JobEnvs, RemoteBlobs, RemoteOptions};
use flynn_core::name::NodeName;
use flynn_core::port::{ContainerState, Runtime, Signal};
use flynn_instance::Post;
use flynn_instance::crash::CrashPoints;
use flynn_runtime::agent::Workplace;
use flynn_runtime::network::Network;
use tokio::time::{Instant, sleep};

use crate::arguments::NodePlace;
use crate::environments::FromControl;
use crate::machinery::{Containers, Machinery, Ways};
use crate::paths::Paths;

/// How long apps have to end after they are asked to. Then they are killed.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const OFTEN: Duration = Duration::from_millis(50);

/// Ends all containers, whatever the store says. A node that never was is no error.
pub(crate) fn run(place: &NodePlace) -> anyhow::Result<()> {
    let layout = place.layout()?;
    if !Paths::of(&layout).all().exists() {
        return Ok(());
    }
    let post = layout.post("flynn-host");
    let _post =
        if layout.run().exists() { Some(Post::take(&post).context("the agent runs: end it first")?) } else { None };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(clear(place, &layout))
}

async fn clear(place: &NodePlace, layout: &flynn_instance::Layout) -> anyhow::Result<()> {
    // Nobody is asked: what is taken away needs neither environments nor images.
    let (nowhere, options) = (Endpoint::unix(layout.socket()), RemoteOptions::default());
    let blobs = RemoteBlobs::connect(nowhere.clone(), Credential::Socket, options.clone())?;
    let environments = JobEnvs::connect(nowhere, Credential::Socket, options)?;
    let crash = CrashPoints::default();
    let machinery = Machinery::open(place, layout, Arc::new(blobs), Ways::default(), &crash).await?;

    end_all(&machinery.jobs).await?;
    remove_all(&machinery.jobs).await?;
    let (name, environments) = (NodeName::new("cleared")?, Arc::new(FromControl(environments)));
    let workplace = machinery.workplace(name, None, None, environments).await?;
    for job in workplace.list().await?.into_keys() {
        workplace.release(job).await?;
    }
    let sandboxes = machinery.sandboxes(Arc::new(Settings::default()))?;
    sandboxes.clear_all().await.map_err(|error| anyhow::anyhow!(error))?;
    remove_all(&machinery.builds).await?;
    drop((workplace, sandboxes));
    for containers in [machinery.jobs, machinery.builds] {
        close(containers).await?;
    }
    Ok(())
}

/// Asks all containers to end, and returns when they have, or after some seconds.
async fn end_all(containers: &Containers) -> anyhow::Result<()> {
    let deadline = Instant::now() + GRACE;
    let mut asked = BTreeSet::new();
    loop {
        let list = containers.runtime.list().await?;
        let running: Vec<_> = list
            .iter()
            .filter(|container| matches!(container.state, ContainerState::Running { .. }))
            .map(|container| container.job)
            .collect();
        if running.is_empty() || Instant::now() >= deadline {
            return Ok(());
        }
        for job in running {
            // Whoever does not hear is killed later.
            if asked.insert(job)
                && let Err(error) = containers.runtime.signal(job, Signal::Term).await
            {
                tracing::warn!(%job, %error, "a container could not be asked to end");
            }
        }
        sleep(OFTEN).await;
    }
}

async fn remove_all(containers: &Containers) -> anyhow::Result<()> {
    for container in containers.runtime.list().await? {
        containers.runtime.remove(container.job).await?;
    }
    Ok(())
}

async fn close(containers: Containers) -> anyhow::Result<()> {
    let Containers { runtime, network, snapshots } = containers;
    runtime.sweep().await?;
    snapshots.sweep(&BTreeSet::new(), flynn_core::Timestamp::from_millis(u64::MAX)).await?;
    for attachment in network.list().await? {
        network.detach(attachment.job).await?;
    }
    let network = Arc::into_inner(network).context("the network is still used")?;
    Ok(network.close().await?)
}
