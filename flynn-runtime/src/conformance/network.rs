//! What a container reaches, and from where it is reached, once it has joined a [`Network`].

use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use flynn_core::port::{Exec, Runtime};
use flynn_core::{AppId, JobId};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{RuntimeHarness, World};
use crate::network::{Attachment, Network};

/// Makes networks for the containers of a runtime.
#[async_trait]
pub trait NetworkHarness: RuntimeHarness {
    /// The network, anew or again, on a node that this harness has for itself.
    async fn network(&self) -> Box<dyn Network>;

    /// The network namespace of that node.
    fn node(&self) -> PathBuf;
}

/// What is at a port, as seen from a network namespace; nothing if nobody answers within two seconds.
async fn page(from: &Path, attachment: &Attachment, port: u16) -> String {
    let address = attachment.address;
    let script = format!("exec 3<>/dev/tcp/{address}/{port} && printf 'GET /page HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3");
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", from.display())).args(["timeout", "2", "bash", "-c", &script]);
    let output = command.stderr(Stdio::null()).output().await.unwrap();
    String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

/// Waits until a job that serves its id is reached. On a busy machine one answer may take longer than it is waited for.
async fn is_reached<H: NetworkHarness>(world: &World<H>, from: &Path, to: &Attachment) {
    let name = to.job.to_string();
    world.until("the job is reached", async || (page(from, to, 80).await == name).then_some(())).await;
}

/// Starts a job that serves a page with its id, and waits until its node reaches it.
async fn serve<H: NetworkHarness>(world: &World<H>, network: &dyn Network, app: AppId) -> Attachment {
    let job = world.job();
    let attachment = network.attach(job, app).await.unwrap();
    // Nobody but root may serve port 80 of the node; in a network of its own anybody may.
    let mut spec = world.script(job, &format!("cd /tmp && echo {job} > page && exec httpd -f -p 80 -h /tmp"));
    spec.mounts = vec![flynn_core::port::Mount {
        source: flynn_core::port::MountSource::Tmpfs { bytes: 1 << 20 },
        target: "/tmp".into(),
        read_only: false,
    }];
    spec.network = Some(attachment.namespace.clone());
    world.start(job, spec).await;
    is_reached(world, &world.harness.node(), &attachment).await;
    attachment
}

async fn end<H: NetworkHarness>(world: &World<H>, network: &dyn Network, jobs: &[JobId]) {
    for &job in jobs {
        world.runtime.remove(job).await.unwrap();
        network.detach(job).await.unwrap();
    }
    assert_eq!(network.list().await.unwrap(), []);
}

/// Its node and other jobs of its app reach a job; jobs of other apps do not.
pub async fn a_job_is_reached_by_its_node_and_its_app<H: NetworkHarness>(world: &World<H>) {
    let network = world.harness.network().await;
    let (app, other): (AppId, AppId) = (id(), id());
    let one = serve(world, &*network, app).await;
    let sibling = serve(world, &*network, app).await;
    let stranger = serve(world, &*network, other).await;
    for (from, to) in [(&sibling, &one), (&one, &sibling)] {
        is_reached(world, &from.namespace, to).await;
    }
    for (from, to) in [(&stranger, &one), (&one, &stranger)] {
        assert_eq!(page(&from.namespace, to, 80).await, "", "{from:?} reaches {to:?}");
    }
    end(world, &*network, &[one.job, sibling.job, stranger.job]).await;
}

/// The first process and further ones have the address of the job, and no other but the loopback's.
pub async fn all_its_processes_have_its_address<H: NetworkHarness>(world: &World<H>) {
    let network = world.harness.network().await;
    let job = world.job();
    let attachment = network.attach(job, id()).await.unwrap();
    let look = "ip -4 -o addr | while read _ name _ address _; do echo $name $address; done";
    let mut spec = world.script(job, &format!("{look}; echo over; sleep 1000"));
    spec.network = Some(attachment.namespace.clone());
    world.start(job, spec).await;
    world.logged(job, "over").await;
    let mut first = world.output(job);
    assert_eq!(first.pop().as_deref(), Some("over"));
    let mut further = String::new();
    let mut session = world.runtime.exec(job, world.process(job, look)).await.unwrap();
    session.output.read_to_string(&mut further).await.unwrap();
    assert_eq!(further.lines().collect::<Vec<_>>(), first);
    let own: Vec<_> = first.iter().filter(|line| !line.starts_with("lo ")).collect();
    assert_eq!(own.len(), 1, "{first:?}");
    assert!(own[0].split(' ').nth(1).unwrap().starts_with(&format!("{}/", attachment.address)), "{own:?}");
    end(world, &*network, &[job]).await;
}

/// A running job keeps its network when the network is opened again, and loses it with the last detaching.
pub async fn a_network_is_kept_until_it_is_taken<H: NetworkHarness>(world: &World<H>) {
    let network = world.harness.network().await;
    let served = serve(world, &*network, id()).await;
    drop(network);
    let network = world.harness.network().await;
    assert_eq!(network.attach(served.job, served.app).await.unwrap(), served);
    assert_eq!(network.list().await.unwrap(), std::slice::from_ref(&served));
    is_reached(world, &world.harness.node(), &served).await;
    end(world, &*network, &[served.job]).await;
    network.detach(served.job).await.unwrap();
    assert!(!served.namespace.exists());
}

fn id<N>() -> flynn_core::Id<N> {
    use flynn_core::Clock;
    flynn_core::Ids::from_entropy().next(flynn_core::SystemClock.now())
}
