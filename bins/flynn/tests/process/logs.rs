//! What apps and builds wrote.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::world::{World, program};

async fn deployed() -> World {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    world.write("Procfile", "web: ./serve\n");
    let out = world.flynn(["deploy", "-a", "web"]).await.ok();
    assert!(out.contains("\nunpacking\ninstalling\nv1 is live"), "{out}");
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_with_the_names_of_what_wrote_them() {
    let world = deployed().await;
    assert_eq!(
        world.flynn(["logs", "-a", "web"]).await.ok(),
        "2027-01-15T08:00:00.001Z web.1: listening\n2027-01-15T08:00:00.002Z web.1: \u{1b}[31mGET /\u{1b}[0m\n"
    );
    let entries = world.flynn(["logs", "-a", "web", "--json"]).await.json();
    assert_eq!((entries.as_array().unwrap().len(), &entries[1]["stream"]), (2, &"errors".into()));
    assert!(world.flynn(["log", "-a", "web", "-p", "web.1"]).await.ok().ends_with("web.1: of one job\n"));
    assert_eq!(world.flynn(["logs", "-a", "web", "-p", "web.9"]).await.code, 3);
    assert_eq!(world.flynn(["builds", "logs", "1", "-a", "web"]).await.ok(), "unpacking\ninstalling\n");
    assert_eq!(world.flynn(["builds", "logs", "7", "-a", "web"]).await.code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_log_shows_each_line_as_it_comes() {
    let world = deployed().await;
    let mut command = world.command(program());
    command.args(["logs", "--tail", "--json", "-a", "web"]);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
            if entry["name"] == "flynn" {
                return entry;
            }
        }
        panic!("the log ended");
    };
    let last = timeout(Duration::from_secs(20), last).await.unwrap();
    assert_eq!(last["text"], "the last line");
    // Whoever reads goes away: the program ends at the next line, or when it is told.
    child.start_kill().unwrap();
    child.wait().await.unwrap();
}
