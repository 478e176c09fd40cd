//! Bad input gets a clear error and changes nothing.
#![allow(clippy::disallowed_methods, reason = "it measures in real time")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flynn_rig::{Checkout, Ran, Rig, eventually};

use crate::apps::{json, plain, says};

/// What an app is, as far as input could change it.
fn state(rig: &Rig, app: &str) -> String {
    let parts =
        [["info", "--app", app], ["config", "--app", app], ["domains", "--app", app], ["releases", "--app", app]];
    let text = parts.iter().map(|part| json(rig, part).to_string());
    let scales = json(rig, &["scale", "--app", app])["processes"].clone();
    text.chain([scales.to_string()]).collect::<Vec<_>>().join("\n")
}

fn deployed(rig: &Rig, app: &str, text: &str) -> Checkout {
    let checkout = rig.create(app);
    plain(&checkout, text);
    checkout.commit(text);
    checkout.push().expect("the first push");
    checkout
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line_and_changes_nothing() {
    let rig = Rig::start();
    let _mine = deployed(&rig, "mine", "mine");
    rig.flynn(&["create", "other", "--no-remote"]).expect("flynn create");
    rig.flynn(&["domains:add", "taken.example", "--app", "other"]).expect("flynn domains:add");
    let before = (state(&rig, "mine"), json(&rig, &["apps"]).to_string());
    let long = "x".repeat(64);
    #[rustfmt::skip]
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["create", "--no-remote", "--", "Not_A_Name"], 1, &["Not_A_Name"]),
        (&["create", "--no-remote", "--", "-x"], 1, &["-x"]),
        (&["create", "--no-remote", "--", "a.b"], 1, &["a.b"]),
        (&["create", "--no-remote", "--", ""], 1, &["name"]),
        (&["create", "--no-remote", "--", &long], 1, &["use 1 to 40"]),
        (&["create", "--no-remote", "mine"], 4, &["mine", "taken"]),
        (&["rename", "other", "--app", "mine"], 4, &["other", "taken"]),
        (&["config:set", "1X=y", "--app", "mine"], 1, &["1X"]),
        (&["config:set", "A B=c", "--app", "mine"], 1, &["A B"]),
        (&["config:set", "=x", "--app", "mine"], 1, &["use 1 to 256"]),
        (&["config:set", "X", "--app", "mine"], 2, &["KEY=VALUE"]),
        (&["scale", "web=-1", "--app", "mine"], 2, &["`-1`"]),
        (&["scale", "web=two", "--app", "mine"], 2, &["`two`"]),
        (&["scale", "web=99999999", "--app", "mine"], 1, &["10000"]),
        (&["scale", "wbe=1", "--app", "mine"], 1, &["wbe", "web"]),
        (&["limits:set", "web", "memory=lots", "--app", "mine"], 2, &["`lots`"]),
        (&["limits:set", "web", "swap=1G", "--app", "mine"], 2, &["`swap`", "memory"]),
        (&["domains:add", "taken.example", "--app", "mine"], 4, &["taken.example", "taken"]),
        (&["domains:add", "other.localhost", "--app", "mine"], 4, &["other.localhost", "taken"]),
        (&["domains:add", "not a host", "--app", "mine"], 1, &["not a host"]),
        (&["domains:add", "http://x.example/", "--app", "mine"], 1, &["http://x.example/"]),
        (&["domains:add", "a.*.example", "--app", "mine"], 1, &["a.*.example"]),
        (&["domains:remove", "nowhere.example", "--app", "mine"], 3, &["nowhere.example"]),
        (&["rollback", "v99", "--app", "mine"], 3, &["99"]),
        (&["rollback", "first", "--app", "mine"], 2, &["first"]),
        (&["kill", "web.7", "--app", "mine"], 3, &["web.7"]),
        (&["destroy", "mine", "--confirm", "other"], 2, &["mine"]),
        (&["info", "--app", "nobody"], 3, &["nobody"]),
        (&["no-such-command"], 2, &["no-such-command"]),
    ];
    let mut wrong = Vec::new();
    for (arguments, code, words) in cases {
        let ran = rig.flynn(arguments);
        let error = ran.stderr.trim_end();
        let is_told = words.iter().all(|word| error.contains(word));
        // The grammar of the command line has a hint below its line.
        let is_line = error.lines().count() == 1 || *code == 2;
        if ran.code != Some(*code) || !is_told || !is_line || !ran.stdout.is_empty() {
            let shown: Vec<_> = arguments.iter().map(|word| word.chars().take(40).collect::<String>()).collect();
            wrong.push(format!("{shown:?} -> {:?} {:?} (expected {code} {words:?})", ran.code, error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((state(&rig, "mine"), json(&rig, &["apps"]).to_string()), before);
    says(&rig, "mine", "mine");
    rig.down();
}

/// A push that is under way.
struct Push {
    git: Child,
    output: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Push {
    fn start(checkout: &Checkout) -> Self {
        use std::os::unix::process::CommandExt;

        let mut command = checkout.command("git");
        // As a shell does, so that Ctrl-C reaches git and what it has started.
        command.args(["push", "flynn", "+HEAD:refs/heads/main"]).process_group(0);
        let mut git = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(git.stderr.take().unwrap());
        Self { git, output, said: String::new() }
    }

    fn until(&mut self, text: &str) {
        while !self.said.contains(text) {
            assert_ne!(self.output.read_line(&mut self.said).unwrap(), 0, "{text:?} was not said: {}", self.said);
        }
    }

    fn interrupt(&self) {
        let group = format!("-{}", self.git.id());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    }

    fn end(mut self) -> (Option<i32>, String) {
        self.output.read_to_string(&mut self.said).unwrap();
        (self.git.wait().unwrap().code(), self.said)
    }
}

/// An app that listens only some seconds after its start.
fn slow(checkout: &Checkout, text: &str) {
    plain(checkout, text);
    checkout.replace("server.py", "server = ", "time.sleep(5)\nserver = ");
    checkout.commit(text);
}

#[test]
fn pushes_at_once_and_interrupted_pushes_leave_one_whole_release() {
    let rig = Rig::start();
    let (mine, colleague) = (deployed(&rig, "app", "first"), rig.checkout());
    std::fs::copy(mine.folder().join(".git/config"), colleague.folder().join(".git/config")).unwrap();
    plain(&colleague, "colleague");
    colleague.commit("colleague");

    slow(&mine, "second");
    let mut push = Push::start(&mine);
    push.until("Starting web.1 (v2)");
    let other = colleague.git(&["push", "--force", "flynn", "HEAD:refs/heads/main"]);
    let said = other.expect_failure(1, "the other push");
    assert!(said.contains("another push to this app is being deployed, try again when it is over"), "{said}");
    says(&rig, "app", "first");
    let (code, said) = push.end();
    assert!(code == Some(0) && said.contains("v2 is live"), "{said}");
    says(&rig, "app", "second");

    // Ctrl-C ends the watching alone: the build goes on to a whole release, and meanwhile others are told so.
    slow(&mine, "third");
    let mut push = Push::start(&mine);
    push.until("remote: Build 3");
    push.interrupt();
    let (code, said) = push.end();
    assert_ne!(code, Some(0), "{said}");
    let again = eventually("the next push is taken", Duration::from_secs(60), || {
        let again = mine.push();
        let busy = again.stderr.contains("another push to this app is being deployed");
        if again.code == Some(0) { Ok(again) } else { Err((busy, again)) }
    });
    assert!(again.stderr.contains("Everything up-to-date"), "{again:?}");
    says(&rig, "app", "third");
    assert_eq!(numbers(&rig), [3, 2, 1]);

    // So it is for an upload.
    let builds = json(&rig, &["builds", "--app", "app"]);
    let next = 1 + builds.as_array().unwrap().iter().filter_map(|build| build["number"].as_u64()).max().unwrap();
    slow(&mine, "fourth");
    let mut upload = Command::new(flynn_rig::program("flynn"))
        .args(["deploy", "."])
        .current_dir(mine.folder())
        .env_clear()
        .env("HOME", rig.home())
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the upload is built", Duration::from_secs(30), || {
        let builds = json(&rig, &["builds", "--app", "app"]);
        if builds.to_string().contains(&format!("\"number\":{next}")) { Ok(()) } else { Err(builds) }
    });
    assert!(Command::new("kill").args(["-INT", &upload.id().to_string()]).status().unwrap().success());
    assert_ne!(upload.wait().unwrap().code(), Some(0));
    says(&rig, "app", "fourth");
    plain(&mine, "fifth");
    mine.commit("fifth");
    mine.push().expect("the push after all that");
    says(&rig, "app", "fifth");
    assert_eq!(numbers(&rig), [5, 4, 3, 2, 1]);
    rig.down();
}

fn numbers(rig: &Rig) -> Vec<u64> {
    let releases = json(rig, &["releases", "--app", "app"]);
    releases.as_array().unwrap().iter().map(|release| release["number"].as_u64().unwrap()).collect()
}

#[test]
fn of_racing_requests_for_a_name_one_wins() {
    let rig = Rig::start();
    for app in ["red", "blue"] {
        rig.flynn(&["create", app, "--no-remote"]).expect("flynn create");
    }
    let race = |commands: Vec<Vec<String>>| {
        let rig = &rig;
        std::thread::scope(|scope| {
            let racing: Vec<_> = commands
                .into_iter()
                .map(|words| scope.spawn(move || rig.flynn(&words.iter().map(String::as_str).collect::<Vec<_>>())))
                .collect();
            racing.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        })
    };
    for round in 0..10 {
        let host = format!("{round}.race.example");
        let add = |app: &str| ["domains:add", &host, "--app", app].map(str::to_owned).to_vec();
        let ran = race(vec![add("red"), add("blue")]);
        one_won(&ran, "taken");
        let listed = ["red", "blue"].map(|app| json(&rig, &["domains", "--app", app]).to_string().contains(&host));
        assert_eq!(listed, [ran[0].code == Some(0), ran[1].code == Some(0)]);
    }
    let create = || ["create", "purple", "--no-remote"].map(str::to_owned).to_vec();
    one_won(&race(vec![create(), create(), create()]), "taken");
    rig.down();
}

fn one_won(ran: &[Ran], why: &str) {
    let won = ran.iter().filter(|ran| ran.code == Some(0)).count();
    let lost = ran.iter().filter(|ran| ran.code == Some(4) && ran.stderr.contains(why)).count();
    assert_eq!((won, lost), (1, ran.len() - 1), "{ran:#?}");
}

/// A header of a tar archive (POSIX.1-2024, pax, "ustar Interchange Format").
fn header(path: &str, kind: u8, size: u64, target: &str) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(157, target);
    put(257, "ustar\x0000");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn archive(entries: &[(&str, u8, &str, &str)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, kind, content, target) in entries {
        archive.extend(header(path, *kind, content.len() as u64, target));
        archive.extend(content.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn gzip(write: impl FnOnce(&mut dyn Write)) -> Vec<u8> {
    let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (gzip.stdin.take().unwrap(), gzip.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).unwrap();
        bytes
    });
    write(&mut stdin);
    drop(stdin);
    assert!(gzip.wait().unwrap().success());
    reading.join().unwrap()
}

/// What the API says to an upload.
fn upload(rig: &Rig, token: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(rig.api()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(
        stream,
        "POST /v1/apps/app/builds HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    // Whoever refuses need not read to the end.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer: {answer:?}, {read:?}")), answer)
}

fn token(rig: &Rig) -> String {
    let path = rig.home().join(".config/flynn/clusters.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("token = ")).unwrap();
    line.trim_matches('"').to_owned()
}

/// Trees that git brings in little, and what is said of them.
type Pushed = (&'static str, fn(&Checkout), &'static [&'static str]);
const PUSHED: [Pushed; 3] = [
    ("a file over the limits", huge_file, &["huge.bin", "a file may have 536870912"]),
    ("one file under many names", many_names, &["too large", "more than 1073741824 bytes together"]),
    ("a tree that has itself in it again and again", many_trees, &["too large", "more than 200000 files"]),
];

fn huge_file(checkout: &Checkout) {
    std::fs::File::create(checkout.folder().join("huge.bin")).unwrap().set_len((512 << 20) + 1).unwrap();
    checkout.git(&["config", "core.compression", "1"]).expect("git config");
    checkout.commit("huge");
}

fn many_names(checkout: &Checkout) {
    std::fs::File::create(checkout.folder().join("zeros")).unwrap().set_len(16 << 20).unwrap();
    (0..66).for_each(|name| {
        std::fs::hard_link(checkout.folder().join("zeros"), checkout.folder().join(format!("zeros-{name}"))).unwrap();
    });
    checkout.commit("zeros");
}

/// Each of nine trees has ten times the one before, which makes a billion files.
fn many_trees(checkout: &Checkout) {
    let said = |command: &mut Command, input: &str| {
        let mut git = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        git.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = git.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let git = |arguments: &[&str], input: &str| said(checkout.command("git").args(arguments), input);
    let mut id = git(&["hash-object", "-w", "--stdin"], "x");
    for level in 0..9 {
        let mode = if level == 0 { "100644 blob" } else { "040000 tree" };
        let tree: String = (0..10).map(|name| format!("{mode} {id}\t{name}\n")).collect();
        id = git(&["mktree"], &tree);
    }
    let commit = git(&["commit-tree", "-p", "HEAD", "-m", "trees", &id], "");
    git(&["update-ref", "HEAD", &commit], "");
}

#[test]
fn trees_that_are_no_source_are_refused_with_the_path_and_the_limit() {
    let rig = Rig::start();
    let good = deployed(&rig, "app", "still here");
    let token = token(&rig);
    let before = (state(&rig, "app"), json(&rig, &["builds", "--app", "app"]).to_string());
    let file = |path| archive(&[("Procfile", b'0', "web: true\n", ""), (path, b'0', "x", "")]);
    let link = |target| archive(&[("Procfile", b'0', "web: true\n", ""), ("out", b'2', "", target)]);
    let bomb = gzip(|to| {
        to.write_all(&header("zeros", b'0', 400 << 20, "")).unwrap();
        (0..400).for_each(|_| to.write_all(&[0; 1 << 20]).unwrap());
    });
    let huge = header("huge.bin", b'0', 600 << 20, "").to_vec();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("a symlink out of the tree", link("../../../etc/passwd"), &["out -> ../../../etc/passwd", "leads out"]),
        ("a symlink to an absolute path", link("/etc/passwd"), &["out -> /etc/passwd", "absolute"]),
        ("a path out of the tree", file("../escaped"), &["../escaped"]),
        ("an absolute path", file("/etc/cron.d/escaped"), &["/etc/cron.d/escaped"]),
        ("a device", archive(&[("disk", b'4', "", "")]), &["disk"]),
        ("a file over the limits", huge, &["huge.bin", "a file may have 536870912"]),
        ("a tar bomb", bomb, &["too large"]),
        ("half an archive", archive(&[("a", b'0', &"x".repeat(5_000), "")])[..2_000].to_vec(), &["ends in the middle"]),
        ("no archive at all", b"these are not the bytes of an archive".to_vec(), &["archive"]),
        ("nothing", Vec::new(), &["archive"]),
    ];
    let mut wrong = Vec::new();
    for (what, body, words) in cases {
        let begun = Instant::now();
        let (status, answer) = upload(&rig, &token, &body);
        let is_told = words.iter().all(|word| answer.contains(word));
        if !(400..500).contains(&status) || !is_told || begun.elapsed() > Duration::from_secs(30) {
            wrong.push(format!("{what} -> {answer} after {:?} (expected {words:?})", begun.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let (status, _) = upload(&rig, "wrong", &file("x"));
    assert_eq!(status, 401);
    assert_eq!(std::fs::read_dir(rig.layout().spool()).unwrap().count(), 0, "something is left of the trees");

    // What the command line packs is judged in the same way, and so is what git brings.
    std::os::unix::fs::symlink("../../../etc/passwd", good.folder().join("out")).unwrap();
    let refused = rig.flynn_at(good.folder(), &["deploy", "."]);
    assert!(refused.expect_failure(1, "flynn deploy").contains("out -> ../../../etc/passwd"), "{refused:?}");
    good.commit("link");
    let refused = good.push();
    assert!(refused.expect_failure(1, "git push").contains("out -> ../../../etc/passwd"), "{refused:?}");
    let back = || good.git(&["reset", "--quiet", "--hard", "HEAD~1"]).expect("git reset").to_owned();
    back();
    for (what, fill, words) in PUSHED {
        let begun = Instant::now();
        fill(&good);
        let refused = good.push();
        let said = refused.expect_failure(1, what);
        assert!(words.iter().all(|word| said.contains(word)), "{what}: {said}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: it took {:?}", begun.elapsed());
        back();
    }
    assert_eq!(std::fs::read_dir(rig.layout().spool()).unwrap().count(), 0, "something is left of what was pushed");
    assert_eq!((state(&rig, "app"), json(&rig, &["builds", "--app", "app"]).to_string()), before);
    assert!(!std::path::Path::new("/etc/cron.d/escaped").exists());
    says(&rig, "app", "still here");
    rig.down();
}

#[test]
fn a_port_of_the_router_that_is_taken_is_said_at_once_and_nothing_is_made() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let data = std::env::temp_dir().join(format!("flynn-busy-{}", std::process::id()));
    let ran = Command::new(flynn_rig::program("flynnd"))
        .args(["--listen", "127.0.0.1:0", "--http", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    let error = String::from_utf8(ran.stderr).unwrap();
    assert_eq!((ran.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    for part in [&format!("port {port} is in use"), "--http", &format!("(process {})", std::process::id())] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!data.exists());
}
