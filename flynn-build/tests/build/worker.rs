//! Which builds run when, and what becomes of those that are not left in peace.

use std::time::Duration;

use flynn_core::noun::{BuildState, BuildStatus};
use flynn_core::{Change, Timestamp};

use crate::node::Play;
use crate::world::World;

fn tree(requirements: &str) -> [(&'static str, &str); 2] {
    [("Procfile", "web: x"), ("requirements.txt", requirements)]
}

fn forever() -> Play {
    Play::default()
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_build_stops_at_once() {
    let world = World::new().await;
    world.node.play([forever()]);
    let build = world.place(world.cluster.app, world.source(&tree("a")).await).await;
    let state = world.working(async {
        world.node.until_running(1).await;
        let begun = tokio::time::Instant::now();
        world.cancel(build).await;
        let state = world.ended(build).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        state
    });
    assert_eq!(state.await, BuildState::Cancelled);
    world.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn one_cancelled_before_it_began_never_begins() {
    let world = World::new().await;
    let build = world.place(world.cluster.app, world.source(&tree("a")).await).await;
    world.cancel(build).await;
    assert_eq!(world.working(world.ended(build)).await, BuildState::Cancelled);
    assert_eq!(world.node.started().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_build_whose_worker_died_is_begun_again() {
    let world = World::new().await;
    let build = world.place(world.cluster.app, world.source(&tree("a")).await).await;
    // It dies while uv is installed, while packages are, and once more.
    for (plays, started) in [(vec![forever()], 1), (vec![Play::ends(0, ""), forever()], 3), (vec![forever()], 4)] {
        world.node.play(plays);
        // Dropped without a word, as a killed process is.
        world.working(world.node.until_started(started)).await;
        assert_eq!(world.cluster.get(build).await.unwrap().status.state, BuildState::Running);
    }
    assert!(matches!(world.working(world.ended(build)).await, BuildState::Succeeded(_)));
    assert_eq!(world.node.started().len(), 5, "uv was installed and is not installed again");
    world.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_told_to_stop_leaves_nothing_running() {
    let world = World::new().await;
    world.node.play([forever()]);
    let build = world.place(world.cluster.app, world.source(&tree("a")).await).await;
    world.worker().run(world.node.until_running(1)).await.unwrap();
    world.assert_empty();
    assert_eq!(world.cluster.get(build).await.unwrap().status.state, BuildState::Running);
}

#[tokio::test(start_paused = true)]
async fn builds_of_an_app_wait_for_each_other_and_others_do_not() {
    let world = World::new().await;
    let [red, blue, green] =
        [world.cluster.app, world.cluster.create_app("b").await, world.cluster.create_app("g").await];
    world.node.play(std::iter::repeat_n(forever(), 8));
    let mut builds = Vec::new();
    for (app, requirements) in [(red, "a"), (red, "b"), (blue, "a"), (green, "a")] {
        builds.push(world.place(app, world.source(&tree(requirements)).await).await);
    }
    world
        .working(async {
            let states = async |expect: [bool; 4]| {
                world.node.until_running(2).await;
                for (build, is_running) in builds.iter().zip(expect) {
                    let state = world.cluster.get(*build).await.unwrap().status.state.clone();
                    assert_eq!(state == BuildState::Running, is_running, "{state:?}");
                }
            };
            // Red's first build and blue's run; red's second waits for the first, green for a free place.
            states([true, false, true, false]).await;
            world.node.finish(blue);
            world.node.until_running(2).await;
            world.node.finish(blue);
            world.ended(builds[2]).await;
            states([true, false, false, true]).await;
            world.cancel(builds[0]).await;
            world.ended(builds[0]).await;
            states([false, true, false, true]).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_not_the_nodes_any_more_is_given_up() {
    let world = World::new().await;
    world.node.play([forever()]);
    let build = world.place(world.cluster.app, world.source(&tree("a")).await).await;
    let lost = BuildState::Lost { reason: "its node is gone".into() };
    world
        .working(async {
            world.node.until_running(1).await;
            let status = BuildStatus { state: lost.clone(), since: Timestamp::EPOCH };
            world.cluster.commit([Change::report(build, status)]).await;
            world.node.until_running(0).await;
        })
        .await;
    assert_eq!(world.cluster.get(build).await.unwrap().status.state, lost);
}
