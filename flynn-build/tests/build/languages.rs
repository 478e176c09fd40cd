//! Which layers apps of the several languages have, and what serves those that do not say it.

use flynn_core::noun::{BuildOutput, BuildState};

use crate::node::Play;
use crate::world::World;

fn web(output: &BuildOutput) -> &str {
    &output.processes.iter().find(|(name, _)| name.as_str() == "web").unwrap().1.command[2]
}

fn leaves(path: &'static str, text: &str) -> Play {
    Play { leaves: Some((path, text.to_owned())), ..Play::ends(0, "") }
}

fn releases() -> Play {
    leaves("layers/releases.json", r#"{"versions": {"24.21.0": {"dist": {"integrity": "sha512-x"}}}}"#)
}

/// What the last sandboxes were told, by a variable.
fn told(world: &World, name: &str) -> Vec<String> {
    let started = world.node.started();
    let value = |spec: &flynn_core::port::ContainerSpec| spec.process.env.get(name).map(|it| it.expose().to_vec());
    started.iter().filter_map(value).map(|value| String::from_utf8(value).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_installer_is_a_layer_of_its_own() {
    let world = World::new().await;
    let package = r#"{"scripts": {"start": "node x"}, "packageManager": "pnpm@9.1.0"}"#;
    let files = [("package.json", package), ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n")];
    let pnpm = r#"{"versions": {"9.1.0": {"dist": {"integrity": "sha512-y"}}}}"#;
    world.node.play([releases(), Play::ends(0, ""), leaves("layers/releases.json", pnpm)]);
    let output = world.built(world.cluster.app, &files).await;
    assert_eq!(world.layers(output.image).await.len(), 5, "base, node, pnpm, packages and source");
    assert_eq!(told(&world, "VERSION"), ["24.21.0", "9.1.0"]);
    assert_eq!(told(&world, "INTEGRITY"), ["sha512-x", "sha512-y"]);
    assert_eq!(told(&world, "COMMAND"), ["install --frozen-lockfile --reporter=append-only --prod"]);
    assert_eq!(world.node.started().len(), 5);

    // Another app with another lock has the same programs.
    let other = world.cluster.create_app("other").await;
    let yarn = [("package.json", r#"{"main": "a.js"}"#), ("a.js", ""), ("yarn.lock", "# yarn lockfile v1\n")];
    let output = world.built(other, &yarn).await;
    assert_eq!(web(&output), "exec node a.js");
    assert_eq!(told(&world, "VERSION")[2..], ["1.22.22"]);
    assert_eq!(world.node.started().len(), 7);
    world.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn a_site_has_neither_node_nor_packages() {
    let world = World::new().await;
    world.node.play([releases()]);
    let package = r#"{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "7"}}"#;
    let output = world.built(world.cluster.app, &[("package.json", package), ("index.html", "")]).await;
    assert_eq!(world.layers(output.image).await.len(), 4, "base, server, source and what was built");
    assert_eq!(told(&world, "SITE"), ["dist"]);
    assert_eq!(told(&world, "PRUNE"), [""]);
    assert_eq!(output.processes.values().next().unwrap().command, ["/layers/site/serve.sh"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_installed_serves_an_app_of_python() {
    let world = World::new().await;
    let app = [("requirements.txt", "flask\n"), ("app.py", "app = Flask(__name__)\n")];
    world.node.play([Play::ends(0, ""), leaves("layers/python/programs.txt", "flask\ngunicorn\npython\n")]);
    let output = world.built(world.cluster.app, &app).await;
    assert_eq!(web(&output), "exec gunicorn --bind 0.0.0.0:$PORT 'app:app'");

    let other = [("requirements.txt", "fastapi\n"), ("main.py", "app = FastAPI()\n")];
    world.node.play([leaves("layers/python/programs.txt", "python\n")]);
    let build = world.place(world.cluster.app, world.source(&other).await).await;
    let state = world.working(world.ended(build)).await;
    let BuildState::Failed { step, reason } = state else { panic!("{state:?}") };
    assert_eq!(step, "choose a server");
    assert!(reason.contains("add uvicorn"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_range_that_excludes_the_python_at_hand_ends_a_build() {
    let world = World::new().await;
    let project = "[project]\nname = 'a'\nrequires-python = '>=3.99'\n";
    let files = [("Procfile", "web: x"), ("pyproject.toml", project)];
    let build = world.place(world.cluster.app, world.source(&files).await).await;
    let state = world.working(world.ended(build)).await;
    let BuildState::Failed { step, reason } = state else { panic!("{state:?}") };
    assert_eq!(step, "choose Python");
    assert!(reason.contains("requires Python >=3.99"), "{reason}");
    assert_eq!(world.node.started().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_program_of_a_go_module_serves() {
    let world = World::new().await;
    let files = [("go.mod", "module example.org/hello\n"), ("main.go", "package main\n")];
    let list = "example.org/hello /app/bin/hello\nexample.org/hello/cmd/x /app/bin/x\n";
    world.node.play([Play::ends(0, ""), leaves("layers/programs.txt", list)]);
    let output = world.built(world.cluster.app, &files).await;
    assert_eq!(web(&output), "exec /app/bin/hello");
    assert_eq!(world.layers(output.image).await.len(), 3, "base, source and programs");

    let several = [("go.mod", "module example.org/other\n"), ("a.go", "")];
    world.node.play([leaves("layers/programs.txt", "e/cmd/a /app/bin/a\ne/cmd/b /app/bin/b\n")]);
    let build = world.place(world.cluster.app, world.source(&several).await).await;
    let state = world.working(world.ended(build)).await;
    let BuildState::Failed { reason, .. } = state else { panic!("{state:?}") };
    assert!(reason.contains("one of bin/a, bin/b"), "{reason}");
    assert_eq!(world.node.started().len(), 3, "the toolchain is there");
}
