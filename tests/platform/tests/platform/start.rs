use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;

use platform::{Instance, public_copy};
use sqlx::{Connection, SqliteConnection};

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[tokio::test]
async fn a_second_control_plane_does_not_start() {
    let instance = Instance::new().with(&["--no-children"]);
    let started = instance.start().await;
    let pid = instance.holder("flynnd").unwrap().identity.process.pid;
    let line = instance.refused();
    assert!(line.contains(&format!("another flynnd (process {pid})")), "{line}");
    assert!(line.contains("stop it first"), "{line}");
    started.terminate().await;
    instance.start().await.terminate().await;
    instance.end();
}

#[tokio::test]
async fn two_instances_run_beside_each_other() {
    let (one, two) = (Instance::new(), Instance::new());
    let (_first, _second) = (one.start().await, two.start().await);
    assert_ne!(one.layout().names(), two.layout().names());
    two.down();
    assert!(one.holder("flynnd").is_some() && two.holder("flynnd").is_none());
    drop(_first);
    one.end();
}

#[test]
fn a_busy_port_is_said_with_its_holder_and_nothing_is_made() {
    let instance = Instance::new().with(&["--no-children"]);
    let _taken = TcpListener::bind(instance.api()).unwrap();
    let line = instance.refused();
    for part in ["7700", "--listen", &format!("(process {})", std::process::id())] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!instance.layout().data().exists());
}

#[tokio::test]
async fn a_missing_key_file_is_not_made_anew_where_there_are_data() {
    let instance = Instance::new().with(&["--no-children"]);
    instance.start().await.terminate().await;
    let (keys, aside) = (instance.layout().keys(), instance.folder.path().join("keys"));
    std::fs::rename(&keys, &aside).unwrap();
    let before = files(instance.layout().data());
    let line = instance.refused();
    assert!(line.contains("keys is missing") && line.contains("Restore the file from a backup"), "{line}");
    assert_eq!(files(instance.layout().data()), before);
    std::fs::rename(&aside, &keys).unwrap();
    instance.start().await.terminate().await;
    instance.end();
}

#[tokio::test]
async fn data_of_a_later_release_are_left_as_they_are() {
    let instance = Instance::new().with(&["--no-children"]);
    instance.start().await.terminate().await;
    let store = instance.layout().store();
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", store.display())).await.unwrap();
    let later = "INSERT INTO _sqlx_migrations SELECT 900, description, installed_on, success, checksum, \
                 execution_time FROM _sqlx_migrations WHERE version = 1";
    sqlx::query(later).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let before = std::fs::read(&store).unwrap();
    let line = instance.refused();
    assert!(line.contains("schema 900") && line.contains("use the release that wrote it"), "{line}");
    assert!(std::fs::read(&store).unwrap() == before);
}

#[test]
fn without_root_it_says_what_does_not_work() {
    let instance = Instance::new();
    let program = public_copy("flynnd", instance.folder.path());
    let mut command = instance.command();
    let output = std::process::Command::new(program).args(command.get_args()).uid(65_534).gid(65_534).output();
    let output = output.unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(1), 1), "{line}");
    assert!(line.contains("without root there are no containers") && line.contains("--no-children"), "{line}");
    assert!(!instance.layout().data().exists());
    command.arg("--nonsense");
    assert_eq!(command.output().unwrap().status.code(), Some(2));
}
