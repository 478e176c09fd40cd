//! Clusters, tokens and teams.

use std::os::unix::fs::PermissionsExt;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_kept_where_nobody_else_reads_it_and_ends_with_the_logout() {
    let world = World::start().await;
    let none = world.flynn(["apps"]).await.failed(2);
    assert!(none.contains("flynn login"), "{none}");
    let nowhere = world.flynn(["login", "--socket", "/nonexistent/flynn.sock"]).await.failed(6);
    assert!(nowhere.contains("flynnd"), "{nowhere}");

    let (socket, url) = (world.socket.display().to_string(), world.url());
    let out = world.flynn(["login", "--socket", &socket, "--url", &url]).await.ok();
    assert_eq!(out, format!("Logged in to local ({url}) as root.\n"));
    assert_eq!(std::fs::metadata(world.config()).unwrap().permissions().mode() & 0o777, 0o600);
    let who = world.flynn(["whoami", "--json"]).await.json();
    assert_eq!((&who["user"], &who["admin"]), (&"root".into(), &true.into()));
    assert_eq!(world.flynn(["cluster:list"]).await.ok(), format!("local\t{url}\tdefault\tyes\n"));

    let kept = std::fs::read_to_string(world.config()).unwrap();
    world.flynn(["logout"]).await.ok();
    assert!(!std::fs::read_to_string(world.config()).unwrap().contains("flynn_"));
    // The token opens nothing any more, even for who kept it.
    std::fs::write(world.config(), kept).unwrap();
    let refused = world.flynn(["whoami"]).await.failed(5);
    assert!(refused.contains("flynn login"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_one_app_opens_that_app_from_another_machine() {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    world.flynn(["create", "other"]).await.ok();
    let secret = world.flynn(["tokens", "create", "ci", "--for-app", "web", "--expires-in", "1d"]).await.ok();
    assert!(secret.starts_with("flynn_") && secret.lines().count() == 1);

    world.flynn(["cluster", "add", "east", &world.url()]).await.ok();
    world.flynn(["cluster", "default", "east"]).await.ok();
    let wrong = world.flynn_with(["login", "--token"], "flynn_wrong\n").await.failed(2);
    assert!(!wrong.contains("flynn_wrong"), "{wrong}");
    world.flynn_with(["login", "--token"], &secret).await.ok();
    assert_eq!(world.flynn(["info", "-a", "web", "--json"]).await.json()["name"], "web");
    assert_eq!(world.flynn(["info", "-a", "other"]).await.code, 3, "what may not be seen is not found");
    assert_eq!(world.flynn(["create", "third"]).await.code, 5);
    assert_eq!(world.flynn(["info", "-a", "other", "-c", "local"]).await.code, 0);

    let tokens = world.flynn(["tokens", "-c", "local", "--json"]).await.json();
    let ci = tokens.as_array().unwrap().iter().find(|token| token["label"] == "ci").unwrap();
    world.flynn(["tokens", "revoke", ci["id"].as_str().unwrap(), "-c", "local"]).await.ok();
    assert_eq!(world.flynn(["info", "-a", "web"]).await.code, 5);

    let mut command = world.command(crate::world::program());
    command.args(["whoami"]).env("FLYNN_URL", world.url()).env("FLYNN_TOKEN", secret.trim());
    assert_eq!(crate::world::finish(command, "").await.code, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_cluster_is_told_from_a_refusal() {
    let world = World::start().await;
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.flynn(["cluster", "add", "gone", &format!("http://127.0.0.1:{port}")]).await.ok();
    let line = world.flynn(["apps"]).await.failed(6);
    assert!(line.contains("cannot be reached") && line.contains("flynn cluster list"), "{line}");
    assert_eq!(world.flynn(["cluster", "add", "bad", "ftp://a"]).await.code, 2);
    assert_eq!(world.flynn(["apps", "-c", "nowhere"]).await.code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_have_members_and_the_audit_log_says_who_did_what() {
    let world = World::with_login().await;
    world.flynn(["teams", "create", "ops"]).await.ok();
    let added = world.flynn(["members", "add", "ops", "ada", "--role", "viewer", "--create"]).await.ok();
    assert_eq!(added, "ada is viewer of ops.\n");
    let here = format!("unix://{}", world.socket.display());
    world.flynn(["cluster", "add", "here", &here]).await.ok();
    let secret = world.flynn(["tokens", "create", "ada", "--for-user", "ada", "-c", "here"]).await.ok();
    let mut command = world.command(crate::world::program());
    command.args(["whoami", "--json"]).env("FLYNN_URL", world.url()).env("FLYNN_TOKEN", secret.trim());
    let who = crate::world::finish(command, "").await.json();
    assert_eq!((&who["user"], &who["teams"][0]["role"]), (&"ada".into(), &"viewer".into()));
    world.flynn(["members", "add", "ops", "ada", "--role", "owner"]).await.ok();
    assert_eq!(world.flynn(["members", "list", "ops"]).await.ok(), "ada\towner\n");
    world.flynn(["members", "remove", "ops", "ada"]).await.ok();
    assert_eq!(world.flynn(["members", "list", "ops"]).await.ok(), "");
    let audit = world.flynn(["audit", "-n", "1", "--json"]).await.json();
    assert_eq!((audit.as_array().unwrap().len(), &audit[0]["user"]), (1, &"root".into()));
    let kinds: Vec<_> = audit[0]["objects"].as_array().unwrap().iter().map(|object| object["kind"].clone()).collect();
    assert_eq!(kinds, ["grant"]);
}

/// Somebody who is no administrator comes in with the token they were given, from a home directory of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_no_administrator_sees_their_teams_and_nothing_else() {
    let world = World::with_login().await;
    for team in ["red", "blue"] {
        world.flynn(["teams", "create", team]).await.ok();
    }
    world.flynn(["create", "mine", "--team", "red"]).await.ok();
    world.flynn(["create", "theirs", "--team", "blue"]).await.ok();
    assert_eq!(world.flynn(["users", "add", "ada", "--team", "green"]).await.code, 3);
    let secret = world.flynn(["users", "add", "ada", "--team", "red"]).await.ok();
    assert!(secret.starts_with("flynn_") && secret.lines().count() == 1);
    world.flynn(["users", "add", "bob", "--team", "blue", "--role", "owner"]).await.ok();
    assert_eq!(world.flynn(["users", "add", "ada"]).await.code, 4);

    let config = world.files.path().join("home/ada.toml");
    let ada_with = async |words: &[&str], input: &str| {
        let mut command = world.command(crate::world::program());
        command.args(words).env("FLYNN_CONFIG", &config);
        crate::world::finish(command, input).await
    };
    let ada = async |words: &[&str]| ada_with(words, "").await;
    ada(&["cluster", "add", "east", &world.url()]).await.ok();
    assert_eq!(ada(&["apps"]).await.code, 5, "without a token");
    ada_with(&["login", "-c", "east", "--token"], &secret).await.ok();
    let who = ada(&["whoami", "--json"]).await.json();
    assert_eq!((&who["user"], &who["admin"]), (&"ada".into(), &false.into()));
    let apps = ada(&["apps", "--json"]).await.json();
    let names: Vec<_> = apps.as_array().unwrap().iter().map(|app| app["name"].clone()).collect();
    assert_eq!(names, ["mine"]);
    for (words, line) in [
        (["teams", "list", "--json"], "red"),
        (["users", "list", "--json"], "ada"),
        (["quotas", "list", "--json"], "red"),
    ] {
        let shown = ada(&words).await.json();
        assert_eq!((shown.as_array().unwrap().len(), &shown[0]["name"]), (1, &line.into()), "{words:?}");
    }
    assert_eq!(ada(&["members", "list", "red"]).await.ok(), "ada\tdeveloper\n");
    ada(&["config", "set", "A=1", "-a", "mine", "--no-wait"]).await.ok();

    // What is not theirs is not there.
    for words in [
        &["info", "-a", "theirs"][..],
        &["ps", "-a", "theirs"],
        &["config", "set", "A=1", "-a", "theirs", "--no-wait"],
        &["destroy", "-a", "theirs", "--confirm", "theirs"],
        &["members", "list", "blue"],
        &["members", "add", "blue", "ada", "--role", "owner"],
        &["create", "more", "--team", "blue"],
        &["quotas", "set", "blue", "apps=1"],
        &["users", "remove", "bob"],
        &["users", "remove", "root"],
        &["nodes", "drain", "n1"],
    ] {
        assert_eq!(ada(words).await.code, 3, "{words:?}");
    }
    // What they see and may not do they are told so.
    for words in [
        &["users", "add", "eve"][..],
        &["teams", "create", "green"],
        &["members", "add", "red", "ada", "--role", "owner"],
        &["quotas", "set", "red", "apps=100"],
        &["quotas", "default", "apps=100"],
        &["destroy", "-a", "mine", "--confirm", "mine"],
        &["nodes"],
        &["audit"],
    ] {
        assert_eq!(ada(words).await.code, 5, "{words:?}");
    }
    assert_eq!(world.flynn(["info", "-a", "theirs", "--json"]).await.json()["state"], "active");

    assert_eq!(world.flynn(["users", "list"]).await.ok().lines().count(), 3);
    world.flynn(["users", "remove", "ada"]).await.ok();
    assert_eq!(ada(&["apps"]).await.code, 5);
    assert_eq!(world.flynn(["users", "remove", "root"]).await.code, 4, "the last administrator");
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_shown_set_and_lifted() {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    assert!(world.flynn(["quotas"]).await.ok().starts_with("default\tapps\t1\tnot limited\ndefault\troutes\t1\t"));
    let of_all = world.flynn(["quotas", "default", "apps=2", "instance-pids=100"]).await.ok();
    assert!(of_all.starts_with("apps\t2\n") && of_all.ends_with("instance-pids\t100\n"), "{of_all}");
    assert!(world.flynn(["quotas"]).await.ok().starts_with("default\tapps\t1\t2\n"));
    world.flynn(["create", "api"]).await.ok();
    let full = world.flynn(["create", "more"]).await.failed(4);
    assert!(full.contains("quota of apps: 2 allowed, 2 used, 1 more asked for"), "{full}");
    let own = world.flynn(["quotas", "set", "default", "apps=3", "memory=8G"]).await.ok();
    assert!(own.contains("default\tapps\t2\t3\n") && own.contains("default\tmemory\t0\t8G\n"), "{own}");
    world.flynn(["create", "more"]).await.ok();
    let lifted = world.flynn(["quotas", "set", "default", "memory=none", "--json"]).await.json();
    assert_eq!((&lifted["limits"]["apps"], &lifted["limits"]["memory_bytes"]), (&3.into(), &().into()));
    assert_eq!(world.flynn(["quotas", "set", "default", "shoes=3"]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_drained_and_take_work_again() {
    let world = World::with_login().await;
    let nodes = world.flynn(["nodes", "--json"]).await.json();
    assert_eq!((&nodes[0]["name"], &nodes[0]["scheduling"]), (&"n1".into(), &"open".into()));
    assert!(world.flynn(["status"]).await.ok().contains("Machines\t1 of 1 ready\n"));
    world.flynn(["nodes", "drain", "n1"]).await.ok();
    assert_eq!(world.flynn(["nodes", "info", "n1", "--json"]).await.json()["scheduling"], "draining");
    world.flynn(["nodes", "undrain", "n1"]).await.ok();
    assert_eq!(world.flynn(["nodes", "info", "n2"]).await.code, 3);
}
