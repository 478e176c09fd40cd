//! Node.js apps.

use std::time::Duration;

use flynn_core::BuildId;
use flynn_core::noun::{BuildOutput, BuildState};
use flynn_core::port::ContainerSpec;

use crate::node::Play;
use crate::world::World;

const LOCK: &str = r#"{"lockfileVersion": 3, "packages": {}}"#;

fn app<'a>(package: &'a str, code: &'a str) -> [(&'static str, &'a str); 3] {
    [("package.json", package), ("package-lock.json", LOCK), ("server.js", code)]
}

const PLAIN: &str = r#"{"dependencies": {"ws": "8"}, "scripts": {"start": "node server.js"}}"#;

/// What a registry says.
fn releases() -> Play {
    let versions = ["20.20.2", "24.3.0", "24.21.0", "26.1.0"]
        .map(|version| format!(r#""{version}": {{"dist": {{"integrity": "sha512-of-{version}"}}}}"#));
    let text = format!(r#"{{"versions": {{{}}}}}"#, versions.join(", "));
    Play { leaves: Some(("layers/releases.json", text)), ..Play::ends(0, "") }
}

fn commands(started: &[ContainerSpec]) -> Vec<String> {
    let variable = |spec: &ContainerSpec, name: &str| {
        spec.process.env.get(name).map(|value| String::from_utf8(value.expose().to_vec()).unwrap())
    };
    let word = |spec: &ContainerSpec| {
        let version = variable(spec, "VERSION").map(|version| format!("node {version}"));
        let build = || variable(spec, "SCRIPT");
        variable(spec, "COMMAND").or(version).or_else(build).unwrap_or_else(|| "look".to_owned())
    };
    started.iter().map(word).collect()
}

async fn build(world: &World, files: &[(&str, &str)]) -> (BuildId, BuildState) {
    let build = world.place(world.cluster.app, world.source(files).await).await;
    let state = world.working(world.ended(build)).await;
    (build, state)
}

fn web(output: &BuildOutput) -> &str {
    &output.processes.iter().find(|(name, _)| name.as_str() == "web").unwrap().1.command[2]
}

#[tokio::test(start_paused = true)]
async fn node_and_packages_are_installed_once() {
    let world = World::new().await;
    world.node.play([releases()]);
    let output = world.built(world.cluster.app, &app(PLAIN, "one")).await;
    assert_eq!(commands(&world.node.started()), ["look", "node 24.21.0", "ci --omit=dev"]);
    assert_eq!(web(&output), "exec node server.js");
    let first = world.layers(output.image).await;
    assert_eq!(first.len(), 4, "base, node, packages and source");

    // Only the code changes.
    let second = world.layers(world.built(world.cluster.app, &app(PLAIN, "two")).await.image).await;
    assert_eq!(world.node.started().len(), 3);
    assert_eq!(first[..3], second[..3]);

    // Another list of packages; then another version too.
    world.built(world.cluster.app, &app(r#"{"scripts": {"start": "x"}}"#, "two")).await;
    let older = app(r#"{"scripts": {"start": "x"}, "engines": {"node": "20.x"}}"#, "two");
    world.built(world.cluster.app, &older).await;
    let commands = commands(&world.node.started());
    assert_eq!(commands[3..], ["ci --omit=dev", "node 20.20.2", "ci --omit=dev"]);
    world.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn a_registry_is_asked_again_the_next_day() {
    let world = World::new().await;
    world.node.play([releases()]);
    world.built(world.cluster.app, &app(PLAIN, "one")).await;
    world.cluster.clock.advance(Duration::from_secs(24 * 3_600));
    world.node.play([releases()]);
    world.built(world.cluster.app, &app(PLAIN, "two")).await;
    assert_eq!(commands(&world.node.started())[3..], ["look"]);
}

#[tokio::test(start_paused = true)]
async fn another_app_shares_node_but_not_packages() {
    let world = World::new().await;
    world.node.play([releases()]);
    world.built(world.cluster.app, &app(PLAIN, "one")).await;
    let other = world.cluster.create_app("other").await;
    world.built(other, &app(PLAIN, "one")).await;
    assert_eq!(commands(&world.node.started())[3..], ["ci --omit=dev"]);
}

#[tokio::test(start_paused = true)]
async fn a_build_script_has_packages_for_development_and_the_image_has_not() {
    const BUILDS: &str =
        r#"{"scripts": {"build": "tsc", "start": "node dist"}, "devDependencies": {"typescript": "5"}}"#;
    let world = World::new().await;
    world.node.play([releases()]);
    let output = world.built(world.cluster.app, &app(BUILDS, "one")).await;
    let started = world.node.started();
    assert_eq!(commands(&started)[2..], ["ci --include=dev", "build"]);
    assert_eq!(started[3].process.env["PRUNE"].expose(), b"npm prune --omit=dev --ignore-scripts");
    let layers = world.layers(output.image).await;
    assert_eq!(layers.len(), 5, "base, node, packages, source and what was built");
    let chain = world.node.chains()[3].clone();
    assert_eq!(chain[1..], layers[1..4], "it is built over what is beneath it in the image");

    world.built(world.cluster.app, &app(BUILDS, "two")).await;
    assert_eq!(commands(&world.node.started())[4..], ["build"]);
}

#[tokio::test(start_paused = true)]
async fn an_installation_with_scripts_of_the_app_sees_the_tree() {
    const OWN: &str = r#"{"scripts": {"postinstall": "node patch.js", "start": "x"}}"#;
    let world = World::new().await;
    world.node.play([releases()]);
    let output = world.built(world.cluster.app, &app(OWN, "one")).await;
    let layers = world.layers(output.image).await;
    assert_eq!(world.node.chains()[2][1..], [layers[1], layers[2]], "node and the source");
    world.built(world.cluster.app, &app(OWN, "two")).await;
    assert_eq!(commands(&world.node.started())[3..], ["ci --omit=dev"], "any change installs again");
}

#[tokio::test(start_paused = true)]
async fn without_a_lock_the_author_is_warned() {
    let world = World::new().await;
    world.node.play([releases()]);
    let files = [("package.json", PLAIN), (".nvmrc", "24.99.0")];
    let (id, state) = build(&world, &files).await;
    assert!(matches!(state, BuildState::Succeeded(_)), "{state:?}");
    assert_eq!(commands(&world.node.started())[2..], ["install --no-package-lock --omit=dev"]);
    let log = world.log(id);
    assert!(log.iter().any(|line| line.contains("there is no package-lock.json")), "{log:?}");
    assert!(log.iter().any(|line| line.contains("24.99.0, which is not to be had; 24.21.0 is used")), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_installed_says_why() {
    const ERRORS: &str = "npm error code EUSAGE\nnpm error\nnpm error `npm ci` can only install packages when \
        they are in sync.\nnpm error\nnpm error Missing: ws@8.23.0 from lock file\n\
        npm error A complete log of this run can be found in: /cache/npm/_logs/1.log\n";
    let world = World::new().await;
    world.node.play([releases(), Play::ends(0, ""), Play::ends(1, ERRORS)]);
    let (_, state) = build(&world, &app(PLAIN, "one")).await;
    let BuildState::Failed { step, reason } = state else { panic!("{state:?}") };
    assert_eq!(step, "install dependencies");
    assert_eq!(reason, "`npm ci` can only install packages when they are in sync. Missing: ws@8.23.0 from lock file");
    world.assert_empty();

    let (_, state) = build(&world, &app(r#"{"engines": {"node": "99"}, "scripts": {"start": "x"}}"#, "one")).await;
    let BuildState::Failed { step, reason } = state else { panic!("{state:?}") };
    assert_eq!(step, "choose Node.js");
    assert!(reason.contains("`99`, which package.json asks for") && reason.contains("20, 24, 26"), "{reason}");
}
