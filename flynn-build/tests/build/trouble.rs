//! Builds that do not end well.

use flynn_core::noun::{BuildState, Exit};

use crate::node::Play;
use crate::world::World;

const FLASK: [(&str, &str); 2] = [("Procfile", "web: flask run"), ("requirements.txt", "flask==99\n")];
const UV: &str = "error: No solution found when resolving dependencies
  cause: Because there is no version of flask==99 and you require flask==99, we can conclude that your requirements \
are unsatisfiable.
";

fn forever() -> Play {
    Play::default()
}

fn ends_well() -> Play {
    Play::ends(0, "")
}

async fn fails(world: &World, files: &[(&str, &str)], step: &str, words: &str) {
    let build = world.place(world.cluster.app, world.source(files).await).await;
    let state = world.working(world.ended(build)).await;
    let BuildState::Failed { step: at, reason } = &state else { panic!("{state:?}") };
    assert_eq!(at, step, "{reason}");
    assert!(reason.contains(words), "{reason}");
    assert!(world.log(build).last().unwrap().contains(words), "{:?}", world.log(build));
    world.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_fails_has_the_last_word() {
    let world = World::new().await;
    world.node.play([ends_well(), Play::ends(1, UV)]);
    fails(&world, &FLASK, "install dependencies", "there is no version of flask==99").await;
    // The next build installs again.
    world.built(world.cluster.app, &FLASK).await;
    assert_eq!(world.node.started().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_spoken_for() {
    let world = World::new().await;
    for (exit, words) in [
        (Exit::OutOfMemory, "more than the 256 MiB"),
        (Exit::Code(7), "code 7"),
        (Exit::Signal(9), "signal 9"),
        (Exit::NotStarted { reason: "no such file".into() }, "could not be started: no such file"),
    ] {
        world.node.play([Play { exit: Some(exit), ..Play::default() }]);
        fails(&world, &FLASK, "install uv", words).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_nothing_builds_is_refused_with_what_was_looked_for() {
    let world = World::new().await;
    fails(&world, &[("README", "hello")], "detect language", "requirements.txt").await;
    fails(&world, &[("Procfile", "nonsense")], "detect language", "Procfile line 1").await;
    fails(&world, &[("/etc/passwd", "x")], "fetch source", "absolute path").await;
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_stopped() {
    let world = World::new().await;
    world.node.play([ends_well(), forever()]);
    fails(&world, &FLASK, "install dependencies", "longer than 900 s").await;
}

#[tokio::test(start_paused = true)]
async fn what_the_node_cannot_do_is_tried_again() {
    let world = World::new().await;
    world.node.fail(2);
    world.built(world.cluster.app, &FLASK).await;
    world.assert_empty();
    let other = [FLASK[0], ("requirements.txt", "flask==3\n")];
    world.node.fail(3);
    fails(&world, &other, "install dependencies", "the disk is full").await;
}
