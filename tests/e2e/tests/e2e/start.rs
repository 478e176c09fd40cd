//! How the control plane starts, and why it does not.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flynn_core::Scope;
use flynn_core::client::{Credential, Endpoint, RemoteStore};
use flynn_core::noun::{Liveness, Router};
use flynn_core::port::Store;
use flynn_rig::{Ran, Rig, RigOptions, eventually, program};
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Runtime;

/// A control plane with neither agent nor router.
fn alone() -> Rig {
    Rig::prepare(RigOptions { arguments: vec!["--no-children".into()], ..RigOptions::default() })
}

/// The one line that a program says when it does not start.
fn refusal(command: &mut Command) -> String {
    let ran = Ran::of(command);
    let line = ran.expect_failure(1, "the start").to_owned();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_second_control_plane_does_not_start() {
    let mut rig = alone();
    rig.start_flynnd();
    let line = refusal(&mut rig.flynnd());
    assert!(line.contains(&format!("another flynnd (process {})", rig.flynnd_pid())), "{line}");
    assert!(line.contains("stop it first"), "{line}");
    rig.stop_flynnd();
    rig.start_flynnd();
    rig.down();
}

#[test]
fn a_busy_port_is_said_with_its_holder_and_nothing_is_made() {
    let rig = alone();
    let _taken = TcpListener::bind(rig.api()).unwrap();
    let line = refusal(&mut rig.flynnd());
    for part in [&rig.api().port().to_string(), "--listen", &format!("(process {})", std::process::id())] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!rig.data().exists());
}

#[test]
fn a_missing_key_file_is_not_made_anew_where_there_are_data() {
    let mut rig = alone();
    rig.start_flynnd();
    rig.stop_flynnd();
    let (keys, aside) = (rig.layout().keys(), rig.home().join("keys"));
    std::fs::rename(&keys, &aside).unwrap();
    let before = files(&rig.data());
    let line = refusal(&mut rig.flynnd());
    assert!(line.contains("keys is missing") && line.contains("Restore the file from a backup"), "{line}");
    assert_eq!(files(&rig.data()), before);
    std::fs::rename(&aside, &keys).unwrap();
    rig.start_flynnd();
    rig.down();
}

#[test]
fn data_of_a_later_release_are_left_as_they_are() {
    let mut rig = alone();
    rig.start_flynnd();
    rig.stop_flynnd();
    let store = rig.layout().store();
    let later = "INSERT INTO _sqlx_migrations SELECT 900, description, installed_on, success, checksum, \
                 execution_time FROM _sqlx_migrations WHERE version = 1";
    Runtime::new().unwrap().block_on(async {
        let mut connection = SqliteConnection::connect(&format!("sqlite://{}", store.display())).await.unwrap();
        sqlx::query(later).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let before = std::fs::read(&store).unwrap();
    let line = refusal(&mut rig.flynnd());
    assert!(line.contains("schema 900") && line.contains("use the release that wrote it"), "{line}");
    assert!(std::fs::read(&store).unwrap() == before);
}

#[test]
fn without_root_it_says_what_does_not_work() {
    let rig = Rig::prepare(RigOptions::default());
    // The folder of the build may be closed to other users.
    let copy = rig.home().join("flynnd");
    std::fs::copy(program("flynnd"), &copy).unwrap();
    let mut command = Command::new(copy);
    let line = refusal(command.args(rig.flynnd().get_args()).uid(65_534).gid(65_534));
    assert!(line.contains("without root there are no containers") && line.contains("--no-children"), "{line}");
    assert!(!rig.data().exists());
    Ran::of(rig.flynnd().arg("--nonsense")).expect_failure(2, "an unknown option");
}

#[test]
fn the_router_reports_itself_and_runs_as_nobody_of_importance() {
    let rig = Rig::start();
    let objects = || {
        let store = RemoteStore::connect(Endpoint::unix(rig.layout().socket()), Credential::Socket).unwrap();
        Runtime::new().unwrap().block_on(store.snapshot(Scope::All)).unwrap().objects
    };
    eventually("the router has reported itself", Duration::from_secs(20), || {
        let status = objects().iter::<Router>().next().unwrap().status.clone();
        let is_this = (status.liveness, status.version.as_str()) == (Liveness::Ready, env!("CARGO_PKG_VERSION"));
        if is_this { Ok(()) } else { Err(status) }
    });

    let pid = rig.holder("flynn-router").unwrap().identity.process.pid;
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(field("Uid:").iter().all(|uid| uid != "0"), "{text}");
    assert!(field("Gid:").iter().all(|gid| gid != "0") && !field("Groups:").contains(&"0".to_owned()), "{text}");
    assert_eq!((field("CapEff:"), field("CapPrm:")), (vec!["0".repeat(16)], vec!["0".repeat(16)]), "{text}");
    assert_eq!(field("NoNewPrivs:"), ["1"], "{text}");
    // Its session is its own, so that no terminal takes it along.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(session, pid.to_string());
    rig.down();
}
