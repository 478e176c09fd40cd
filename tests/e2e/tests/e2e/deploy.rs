//! From a push to an answer.

use std::io::{Read, Write};
use std::net::TcpStream;

use flynn_rig::{Ran, Rig};

use crate::apps::{plain, sample, says};

#[test]
fn an_app_with_dependencies_is_pushed_changed_configured_and_rolled_back() {
    let rig = Rig::start();
    let checkout = rig.create("hello");
    checkout.copy(&sample("python-web"));
    checkout.commit("first");
    let pushed = checkout.push();
    pushed.expect("the first push");
    let live = format!("v1 is live: http://hello.localhost:{}", rig.router().port());
    for part in ["remote: Build 1", "remote: ----->", "Starting web.1 (v1)", "web.1 is up", &live] {
        assert!(pushed.stderr.contains(part), "`{part}` is not in {}", pushed.stderr);
    }
    says(&rig, "hello", "Hello from Flynn. This is v1");

    checkout.replace("app.py", "Hello from", "Good day from");
    checkout.commit("second");
    checkout.push().expect("the second push");
    says(&rig, "hello", "Good day from Flynn. This is v2");

    rig.flynn(&["config:set", "SHOWN=COLOUR", "COLOUR=dark red", "--app", "hello"]).expect("flynn config:set");
    says(&rig, "hello", "This is v3");
    let env = rig.page("hello", "/env").unwrap().body;
    assert!(env.contains("\"dark red\"") && env.contains("\"web.1\""), "{env}");
    rig.flynn(&["rollback", "v1", "--app", "hello"]).expect("flynn rollback");
    says(&rig, "hello", "Hello from Flynn. This is v4");
    let env = rig.page("hello", "/env").unwrap().body;
    assert!(!env.contains("dark red"), "v1 had no such variable: {env}");
    rig.down();
}

#[test]
fn a_static_site_and_an_app_without_dependencies_are_served_beside_each_other() {
    let rig = Rig::start();
    let site = rig.create("site");
    site.copy(&sample("static-site"));
    site.commit("pages");
    site.push().expect("the push of the site");
    let own = rig.create("own");
    plain(&own, "mine");
    own.commit("server");
    own.push().expect("the push of the server");

    says(&rig, "site", "A static site on Flynn");
    says(&rig, "own", "mine web.1");
    for repository in std::fs::read_dir(rig.layout().repositories()).unwrap().flatten() {
        let head = std::fs::metadata(repository.path().join("HEAD")).unwrap();
        assert_ne!(std::os::unix::fs::MetadataExt::uid(&head), 0, "git runs as root");
    }
    let missing = rig.page("site", "/no-such-page").unwrap();
    assert_eq!((missing.status, missing.body.contains("html")), (404, true), "{missing:?}");
    assert_eq!(rig.page("nobody", "/").unwrap().status, 404);

    rig.flynn(&["destroy", "--app", "own", "--confirm", "own"]).expect("flynn destroy");
    flynn_rig::eventually("the app is gone", std::time::Duration::from_secs(30), || {
        match rig.page("own", "/").unwrap().status {
            404 => Ok(()),
            status => Err(status),
        }
    });
    says(&rig, "site", "A static site on Flynn");
    flynn_rig::eventually("its repository is gone", std::time::Duration::from_secs(60), || {
        let left: Vec<_> = std::fs::read_dir(rig.layout().repositories()).unwrap().flatten().collect();
        if left.len() == 1 { Ok(()) } else { Err(left) }
    });
    rig.down();
}

#[test]
fn a_folder_is_uploaded_without_git() {
    let rig = Rig::start();
    let checkout = rig.create("upload");
    plain(&checkout, "uploaded");
    checkout.write(".flynnignore", "secret.txt\n");
    checkout.write("secret.txt", "not for the server");
    let deployed = rig.flynn_at(checkout.folder(), &["deploy", "."]);
    deployed.expect("flynn deploy");
    says(&rig, "upload", "uploaded");
    let listed = rig.flynn(&["run", "--app", "upload", "--", "ls", "-a"]);
    let listed = listed.expect("flynn run ls");
    assert!(listed.contains("server.py") && !listed.contains("secret.txt"), "{listed}");

    let ask = format!("printf 'protocol=http\\nhost={}\\n\\n' | flynn git-credential get", rig.api());
    let said = Ran::of(checkout.command("sh").args(["-c", &ask]));
    let token = said.expect("flynn git-credential").lines().find_map(|line| line.strip_prefix("password=")).unwrap();
    let request = format!(
        "POST /v1/apps/upload/builds HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer \
         {token}\r\nContent-Type: application/x-tar\r\nContent-Length: 10\r\n\r\nno archive"
    );
    let refused = flynn_rig::ask(rig.api(), request.as_bytes()).unwrap();
    assert_eq!(refused.status, 422, "{refused:?}");
    rig.down();
}

#[test]
fn a_node_app_is_pushed_and_its_websocket_is_reached() {
    let rig = Rig::start();
    let checkout = rig.create("node");
    checkout.copy(&sample("node-web"));
    checkout.commit("first");
    checkout.push().expect("the push");
    says(&rig, "node", "Hello from Flynn. This is v1");

    let mut socket = TcpStream::connect(rig.router()).unwrap();
    let ask = "GET /ws HTTP/1.1\r\nHost: node.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(ask.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).unwrap();
    // The answer to the key of RFC 6455 section 1.3.
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    // A text frame of two letters, masked by zeros; it comes back without a mask.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).unwrap();
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, &[0x81, 0x02, b'h', b'i']);
    drop(socket);
    rig.down();
}
