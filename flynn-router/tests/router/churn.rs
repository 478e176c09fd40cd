//! Changes under load lose no request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flynn_core::noun::{Desired, Exit, JobState, Traffic};
use flynn_core::{Change, JobId};
use flynn_router::table::{ShardedTable, TableChange};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::instance::{Instance, read_request};
use crate::rig::{Client, Rig, place, settings, until};

/// Clients that ask without pause until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Load {
    fn start(address: SocketAddr, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let (stop, answered) = (stop.clone(), answered.clone());
            tasks.spawn(async move {
                let mut client = Client::connect(address).await;
                while !stop.load(Ordering::SeqCst) {
                    // Every other one must not be repeated, so that no repetition hides a loss.
                    let method = if number % 2 == 0 { "GET" } else { "POST" };
                    let request = format!("{method} / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody");
                    client.send(request).await;
                    let answer = client.answer().await;
                    assert_eq!((answer.status, answer.whole), (200, true), "{answer:?}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { stop, answered, clients: tasks }
    }

    async fn end(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(client) = self.clients.join_next().await {
            client.unwrap();
        }
        self.answered.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_route_changes_fail_no_request() {
    let instances: Vec<_> = futures::future::join_all((0..3).map(|_| Instance::hello())).await;
    let rig = Rig::start().await;
    let addresses: Vec<_> = instances.iter().map(|instance| instance.address()).collect();
    let keys = [rig.route("a.example", "/", &addresses), rig.route("a.example", "/deep", &addresses)];
    let load = Load::start(rig.address, 8);
    for number in 0..10_000_usize {
        let other = place(&format!("h{}.example", number % 500), "/");
        match number % 5 {
            0 => rig.table.apply([TableChange::PutRoute(other, keys[0].clone().into())]),
            1 => rig.table.apply([TableChange::PutRoute(place("a.example", "/"), keys[number / 5 % 2].clone().into())]),
            2 => rig.target(&keys[number % 2], &addresses[..1 + number % 3], Traffic::Serve),
            3 => rig.table.apply([TableChange::PutRoute(place("a.example", "/x"), keys[1].clone().into())]),
            _ => rig.table.apply([TableChange::DropRoute(place("a.example", "/x"))]),
        }
        if number % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let answered = load.end().await;
    assert!(answered > 500, "only {answered} requests were made meanwhile");
    rig.end().await;
}

/// An instance that notices requests which come after they should not.
async fn serving(sealed: Arc<AtomicBool>, open: Arc<AtomicUsize>) -> Instance {
    Instance::script(move |stream| {
        assert!(!sealed.load(Ordering::SeqCst), "a connection to an instance that was acknowledged as gone");
        open.fetch_add(1, Ordering::SeqCst);
        let open = open.clone();
        async move {
            let mut peer = Client::over(stream);
            while read_request(&mut peer).await.is_some() {
                tokio::time::sleep(Duration::from_millis(2)).await;
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
            open.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_fails_no_request() {
    let cluster = Cluster::new().await;
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, None);
    cluster.route(cluster.world.app, "a.example").await;
    let rig = Rig::over(table.clone(), settings(|_| {})).await;
    let mut running: Option<(JobId, Instance, Arc<AtomicBool>, Arc<AtomicUsize>)> = None;
    let mut load = None;
    for round in 0..15 {
        let (sealed, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let instance = serving(sealed.clone(), open.clone()).await;
        let job = cluster.start(round + 1, instance.address).await;
        let started = cluster.world.get(job).await.unwrap().status_version;
        cluster.acknowledges(started).await;
        let load = load.get_or_insert_with(|| Load::start(rig.address, 4));
        let before = load.answered.load(Ordering::SeqCst);
        until(|| load.answered.load(Ordering::SeqCst) > before + 40).await;
        if let Some((old, instance, sealed, open)) = running.replace((job, instance, sealed, open)) {
            let drained = cluster.desire(old, Desired::Drain).await;
            cluster.acknowledges(drained).await;
            // From here on the scheduler may end the job: what it has got ends by itself, and nothing comes.
            sealed.store(true, Ordering::SeqCst);
            until(|| open.load(Ordering::SeqCst) == 0).await;
            drop(instance);
            cluster.desire(old, Desired::Down).await;
            cluster.report(old, JobState::Exited(Exit::Code(0))).await;
            cluster.world.commit([Change::remove(old)]).await;
        }
    }
    let answered = load.unwrap().end().await;
    assert!(answered > 600);
    let failures: Vec<_> = rig.lines.records().into_iter().filter(|record| record.failure.is_some()).collect();
    assert!(failures.is_empty(), "{failures:?}");
    following.end().await;
    rig.end().await;
}
