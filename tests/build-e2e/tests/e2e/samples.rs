//! The sample apps of this repository, as their users push them.

use std::fs;
use std::path::Path;

use flynn_core::noun::{BuildOutput, BuildState, Exit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::app::App;
use crate::machine::Machine;

/// The files of a sample, with `changes` in place of some.
fn sample(name: &str, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/apps").join(name);
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let changed = changes.iter().find(|(changed, _)| *changed == name).map(|(_, text)| (*text).to_owned());
            files.push((name, changed.unwrap_or_else(|| fs::read_to_string(&path).unwrap())));
        }
    }
    files
}

async fn build(machine: &Machine, files: &[(String, String)]) -> BuildState {
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    machine.build(&files).await
}

async fn built(machine: &Machine, files: &[(String, String)]) -> BuildOutput {
    match build(machine, files).await {
        BuildState::Succeeded(output) => output,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_static_site_is_served() {
    let machine = Machine::new().await;
    let output = built(&machine, &sample("static-site", &[])).await;
    let app = App::start(&machine, &output).await;
    let page = app.get(&machine, "/").await;
    assert!(page.contains("200 OK") && page.contains("A static site on Flynn"), "{page}");
    let tag = page.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();

    for (path, expect) in [
        ("/about", &["200 OK", "Content-Type: text/html; charset=utf-8"][..]),
        ("/css/site.css", &["200 OK", "Content-Type: text/css"]),
        ("/css", &["301 Moved", "Location: /css/"]),
        ("/nowhere", &["404 Not Found", "There is no such page"]),
        ("/.git/config", &["404 Not Found"]),
        ("/../etc/passwd", &["400 Bad Request"]),
    ] {
        let answer = app.ask(&format!("GET {path} HTTP/1.1")).await;
        assert!(expect.iter().all(|expect| answer.contains(expect)), "{path}: {answer}");
    }
    let compressed = app.ask("GET /css/site.css HTTP/1.1\r\nAccept-Encoding: gzip").await;
    assert!(compressed.contains("Content-Encoding: gzip"), "{compressed}");
    let unchanged = app.ask(&format!("GET / HTTP/1.1\r\nIf-None-Match: {tag}")).await;
    assert!(unchanged.contains("304 Not Modified"), "{unchanged}");

    assert_eq!(app.terminate(&machine).await, Exit::Code(0));
    app.stop(&machine).await;

    // Files have no times in an image: what says that a page is another one is the tree.
    let changed = sample("static-site", &[("about.html", "another page")]);
    let output = built(&machine, &changed).await;
    let app = App::start(&machine, &output).await;
    app.get(&machine, "/").await;
    let answer = app.ask(&format!("GET /about HTTP/1.1\r\nIf-None-Match: {tag}")).await;
    assert!(answer.contains("200 OK") && answer.ends_with("another page"), "{answer}");
    app.stop(&machine).await;
    machine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_app_echoes_over_a_web_socket() {
    let machine = Machine::new().await;
    let output = built(&machine, &sample("node-web", &[])).await;
    let app = App::start(&machine, &output).await;
    assert!(app.get(&machine, "/healthz").await.ends_with("ok\n"));

    let mut socket = app.connect().await;
    let upgrade = "GET /ws HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{head:?}");
    // A text of two letters under a mask of zeros.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(echo, [0x81, 2, b'h', b'i']);
    drop(socket);
    assert_eq!(app.terminate(&machine).await, Exit::Code(0));
    app.stop(&machine).await;

    let layers = machine.layers(output.image).await;
    let server = sample("node-web", &[]).into_iter().find(|(name, _)| name == "server.js").unwrap().1;
    let changed = sample("node-web", &[("server.js", &server.replace("Hello from", "Greetings from"))]);
    let output = built(&machine, &changed).await;
    let again = machine.layers(output.image).await;
    assert_eq!(again.split_last().unwrap().1, layers.split_last().unwrap().1, "only the source is another");
    let app = App::start(&machine, &output).await;
    assert!(app.get(&machine, "/").await.contains("Greetings from"));
    app.stop(&machine).await;

    let package = sample("node-web", &[]).into_iter().find(|(name, _)| name == "package.json").unwrap().1;
    let torn = package.replace("\"ws\"", "\"left-pad\": \"1.3.0\",\n    \"ws\"");
    let BuildState::Failed { step, reason } = build(&machine, &sample("node-web", &[("package.json", &torn)])).await
    else {
        panic!("it was built");
    };
    assert_eq!(step, "install dependencies");
    assert!(reason.contains("Missing: left-pad@1.3.0 from lock file") && !reason.contains("Usage"), "{reason}");
    machine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_app_with_a_build_script_loses_what_only_that_needed() {
    const PACKAGE: &str = r#"{
        "scripts": { "build": "node build.js", "start": "node dist/server.js" },
        "dependencies": { "ms": "2.1.3" },
        "devDependencies": { "wrappy": "1.0.2" },
        "engines": { "node": "22.x" }
    }"#;
    const BUILD: &str = "require('wrappy'); const fs = require('fs'); fs.mkdirSync('dist');
        fs.copyFileSync('server.js', 'dist/server.js');";
    const SERVER: &str = "const has = (name) => { try { require(name); return true } catch { return false } };
        require('http').createServer((_, response) => {
          const facts = [has('ms'), has('wrappy'), process.env.NODE_ENV, process.version.split('.')[0], process.getuid()];
          response.end(facts.join(' '));
        }).listen(process.env.PORT);";
    let machine = Machine::new().await;
    let files = [("package.json", PACKAGE), ("build.js", BUILD), ("server.js", SERVER)];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let output = built(&machine, &files).await;
    assert!(machine.lines.has("there is no package-lock.json"));
    let app = App::start(&machine, &output).await;
    let answer = app.get(&machine, "/").await;
    assert!(answer.ends_with("true false production v22 1000"), "{answer}");
    app.stop(&machine).await;

    let broken =
        [&files[0], &("build.js".to_owned(), "console.error('no such colour'); process.exit(3)".to_owned()), &files[2]];
    let broken = broken.map(Clone::clone);
    let BuildState::Failed { step, reason } = build(&machine, &broken).await else { panic!("it was built") };
    assert_eq!((step.as_str(), reason.as_str()), ("npm run build", "no such colour"));
    machine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_app_answers_and_ends_at_once() {
    let machine = Machine::new().await;
    let output = built(&machine, &sample("python-web", &[])).await;
    assert!(output.processes.keys().any(|name| name.as_str() == "worker"));
    let app = App::start(&machine, &output).await;
    assert!(app.get(&machine, "/healthz").await.ends_with("ok\n"));
    assert!(app.ask("GET / HTTP/1.1").await.contains("Hello from Flynn"));
    assert_eq!(app.terminate(&machine).await, Exit::Code(0));
    app.stop(&machine).await;
    machine.close().await;
}
