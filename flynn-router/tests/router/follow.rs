//! The follower: what it writes, when it acknowledges, and what it remembers.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flynn_core::conformance::ManualClock;
use flynn_core::noun::{App, Desired, Health, JobState, Traffic};
use flynn_core::{Change, Clock};
use flynn_router::follow::{TableFile, TableFileError};
use flynn_router::table::{Host, RouteTable, ShardedTable, TargetState};

use crate::cluster::Cluster;
use crate::instance::Instance;
use crate::rig::{Rig, settings, until};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn state(table: &ShardedTable, host: &str) -> Option<Arc<TargetState>> {
    table.lookup(&Host::parse(host).unwrap(), "/").map(|route| route.target().state())
}

fn ports(table: &ShardedTable, host: &str) -> Vec<u16> {
    let state = state(table, host);
    state.iter().flat_map(|state| &state.backends).map(|backend| backend.address().port()).collect()
}

#[tokio::test]
async fn a_job_is_in_the_table_while_it_can_take_requests() {
    let cluster = Cluster::new().await;
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, None);
    cluster.route(cluster.world.app, "a.example").await;
    let job = cluster.start(1, address(1)).await;
    until(|| ports(&table, "a.example") == [1]).await;

    let up = |health| JobState::Up { address: Some(address(1)), health };
    cluster.acknowledges(cluster.report(job, up(Health::Unhealthy)).await).await;
    assert_eq!(ports(&table, "a.example"), [0_u16; 0]);
    cluster.acknowledges(cluster.report(job, up(Health::Healthy)).await).await;
    assert_eq!(ports(&table, "a.example"), [1]);

    let app = cluster.world.get(cluster.world.app).await.unwrap();
    let maintained = App { traffic: Traffic::Maintenance, ..app.spec.clone() };
    let revision = cluster.world.commit([Change::update(cluster.world.app, maintained)]).await.revision;
    cluster.acknowledges(revision).await;
    assert_eq!(state(&table, "a.example").unwrap().traffic, Traffic::Maintenance);

    cluster.acknowledges(cluster.desire(job, Desired::Drain).await).await;
    assert_eq!(ports(&table, "a.example"), [0_u16; 0]);
    following.end().await;
}

#[tokio::test]
async fn routes_come_and_go() {
    let cluster = Cluster::new().await;
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, None);
    cluster.start(1, address(1)).await;
    let route = cluster.route(cluster.world.app, "*.example.com").await;
    until(|| ports(&table, "a.example.com") == [1]).await;
    let revision = cluster.world.commit([Change::remove(route)]).await.revision;
    cluster.acknowledges(revision).await;
    assert!(state(&table, "a.example.com").is_none());
    following.end().await;
}

#[tokio::test]
async fn nothing_is_acknowledged_while_a_request_goes_by_an_older_table() {
    let cluster = Cluster::new().await;
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, None);
    cluster.route(cluster.world.app, "a.example").await;
    let job = cluster.start(1, address(1)).await;
    until(|| ports(&table, "a.example") == [1]).await;
    let before = cluster.world.commits(flynn_core::Scope::All, Default::default()).await.last().unwrap().revision;
    cluster.acknowledges(before).await;

    let passage = table.enter();
    let drained = cluster.desire(job, Desired::Drain).await;
    until(|| ports(&table, "a.example").is_empty()).await;
    // The table was changed, and beats go on, but say nothing of it.
    let seen = cluster.presence_beats(3).await;
    assert!(seen < drained, "{seen} was acknowledged too early");
    drop(passage);
    cluster.acknowledges(drained).await;
    following.end().await;
}

#[tokio::test]
async fn the_last_table_is_served_while_the_control_plane_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routes.json");
    let cluster = Cluster::new().await;
    let instance = Instance::hello().await;
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, Some(&file));
    cluster.start(1, instance.address()).await;
    cluster.route(cluster.world.app, "a.example").await;
    let revision = cluster.world.commits(flynn_core::Scope::All, Default::default()).await.last().unwrap().revision;
    cluster.acknowledges(revision).await;
    following.end().await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(TableFile::new(&file).read().unwrap().unwrap().revision, revision);

    // Another process, and nobody to ask.
    cluster.remote.away.store(true, Ordering::SeqCst);
    cluster.world.clock.advance(DAY / 2);
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, Some(&file));
    until(|| !ports(&table, "a.example").is_empty()).await;
    let rig = Rig::over(table.clone(), settings(|_| {})).await;
    assert_eq!(rig.get("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await.text(), "hello");

    // What it missed arrives when the control plane is back.
    let second = cluster.start(2, address(2)).await;
    let drained = cluster.desire(second, Desired::Drain).await;
    cluster.route(cluster.world.app, "b.example").await;
    cluster.remote.away.store(false, Ordering::SeqCst);
    cluster.acknowledges(drained).await;
    until(|| ports(&table, "b.example") == [instance.address().port()]).await;
    assert_eq!(rig.get("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n").await.text(), "hello");
    following.end().await;
    rig.end().await;
}

/// Writes a table, changes the file with `spoil`, and says whether it is served afterwards.
async fn is_served_after(spoil: impl FnOnce(&std::path::Path, &Cluster)) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routes.json");
    let cluster = Cluster::new().await;
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, Some(&file));
    cluster.route(cluster.world.app, "a.example").await;
    let job = cluster.start(1, address(1)).await;
    let revision = cluster.report(job, JobState::Up { address: Some(address(2)), health: Health::Healthy }).await;
    cluster.acknowledges(revision).await;
    following.end().await;
    spoil(&file, &cluster);
    cluster.remote.away.store(true, Ordering::SeqCst);
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, Some(&file));
    // The file is read before the store is asked.
    until(|| cluster.remote.refused.load(Ordering::SeqCst) > 0).await;
    let is_served = state(&table, "a.example").is_some();
    following.end().await;
    is_served
}

#[tokio::test]
async fn only_a_sound_table_of_the_last_day_is_served() {
    assert!(is_served_after(|_, _| {}).await);
    assert!(is_served_after(|_, cluster| cluster.world.clock.advance(DAY - Duration::from_secs(60))).await);
    assert!(!is_served_after(|_, cluster| cluster.world.clock.advance(DAY)).await);
    // Written in the future: nobody knows how old it is.
    assert!(!is_served_after(|_, cluster| cluster.world.clock.set(cluster.world.clock.now().before(DAY))).await);
    assert!(!is_served_after(|file, _| std::fs::write(file, "{\"format\":1,").unwrap()).await);
    assert!(!is_served_after(|file, _| std::fs::write(file, "").unwrap()).await);
    assert!(
        !is_served_after(|file, _| {
            let text = std::fs::read_to_string(file).unwrap();
            std::fs::write(file, text.replacen("\"format\":1", "\"format\":2", 1)).unwrap();
            assert!(matches!(TableFile::new(file).read(), Err(TableFileError::Newer { found: 2, .. })));
        })
        .await
    );
}

#[tokio::test]
async fn an_older_table_on_disk_is_never_acknowledged_away() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routes.json");
    let cluster = Cluster::new().await;
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, Some(&file));
    cluster.route(cluster.world.app, "a.example").await;
    let job = cluster.start(1, address(1)).await;
    for port in 2..40 {
        let state = JobState::Up { address: Some(address(port)), health: Health::Healthy };
        let revision = cluster.report(job, state).await;
        cluster.acknowledges(revision).await;
        let saved = TableFile::new(&file).read().unwrap().unwrap();
        let addresses: Vec<_> = saved.content.targets().flat_map(|(_, spec)| spec.backends.values().copied()).collect();
        assert_eq!((saved.revision >= revision, addresses), (true, vec![address(port)]));
    }
    following.end().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_day_without_contact_nothing_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("routes.json");
    let cluster = Cluster::new().await;
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, Some(&file));
    cluster.route(cluster.world.app, "a.example").await;
    let job = cluster.start(1, address(1)).await;
    let revision = cluster.report(job, JobState::Up { address: Some(address(2)), health: Health::Healthy }).await;
    cluster.acknowledges(revision).await;
    following.end().await;

    cluster.remote.away.store(true, Ordering::SeqCst);
    let clock = Arc::new(ManualClock::new(cluster.world.clock.now() + DAY / 2));
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow_by(&table, Some(&file), clock);
    while state(&table, "a.example").is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(DAY / 2 - Duration::from_secs(60)).await;
    assert_eq!(ports(&table, "a.example"), [2]);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(state(&table, "a.example").is_none());
    cluster.remote.away.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(ports(&table, "a.example"), [2]);
    following.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_any_more_serves_for_a_day_and_asks_again() {
    let mut cluster = Cluster::new().await;
    cluster.beat = Duration::from_secs(10);
    let table = Arc::new(ShardedTable::new());
    let following = cluster.follow(&table, None);
    cluster.route(cluster.world.app, "a.example").await;
    let job = cluster.start(1, address(1)).await;
    let up = |port| JobState::Up { address: Some(address(port)), health: Health::Healthy };
    let revision = cluster.report(job, up(2)).await;
    cluster.acknowledges(revision).await;

    cluster.remote.denies.store(true, Ordering::SeqCst);
    cluster.report(job, up(3)).await;
    // Beats go on all the time, which must not keep the table alive.
    tokio::time::sleep(DAY - Duration::from_secs(60)).await;
    assert_eq!(ports(&table, "a.example"), [2]);
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert!(state(&table, "a.example").is_none());
    cluster.remote.denies.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(ports(&table, "a.example"), [3]);
    following.end().await;
}
