use std::process::Command;

use platform::{Checkout, Instance, base_archive, get, post, post_locally, until, upload};

const PROCFILE: &str = "web: httpd -f -p $PORT -h /app/public\n";

/// An instance whose apps run on a base image of one program.
fn instance() -> Instance {
    let instance = Instance::new();
    let base = base_archive(instance.folder.path());
    let option = |name: &str| format!("--host-option={name}={}", base.display());
    instance.with(&[&option("--run-base"), &option("--build-base")])
}

/// The token of the first administrator.
fn log_in(instance: &Instance) -> String {
    let answer = post_locally(&instance.layout().socket(), "/v1/login", "{}").unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    let document: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    document["secret"].as_str().unwrap().to_owned()
}

fn create(instance: &Instance, token: &str, app: &str) -> Checkout {
    let answer = post(instance.api(), "/v1/apps", token, &format!("{{\"name\":\"{app}\"}}")).unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    Checkout::new(instance.folder.path(), instance.api(), app, token)
}

fn page(instance: &Instance, host: &str) -> Option<String> {
    get(instance.http(), host).filter(|answer| answer.status == 200).map(|answer| answer.body)
}

#[tokio::test]
async fn what_is_pushed_is_served() {
    let instance = instance();
    let started = instance.start().await;
    let token = log_in(&instance);
    let checkout = create(&instance, &token, "web");
    checkout.write("Procfile", PROCFILE);
    checkout.write("public/index.html", "first\n");
    checkout.commit("first");
    let (pushed, said) = checkout.push();
    assert!(pushed, "{said}\n{}", logs(&instance));
    for part in
        ["remote: Build 1", "remote: ----->", "Starting web.1 (v1)", "web.1 is up", "v1 is live: http://web.localhost"]
    {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    assert_eq!(page(&instance, "web.localhost").as_deref(), Some("first\n"));

    checkout.write("public/index.html", "second\n");
    checkout.commit("second");
    let (pushed, said) = checkout.push();
    assert!(pushed && said.contains("v2 is live"), "{said}");
    assert_eq!(page(&instance, "web.localhost").as_deref(), Some("second\n"));

    // Nothing that serves needs the control plane, and nothing dies with it.
    let host = instance.holder("flynn-host").unwrap();
    started.kill();
    assert_eq!(page(&instance, "web.localhost").as_deref(), Some("second\n"));
    host.identity.kill().unwrap();
    assert_eq!(page(&instance, "web.localhost").as_deref(), Some("second\n"));
    let started = instance.start().await;
    until("an agent is there again", || instance.holder("flynn-host").is_some_and(|other| other != host)).await;
    checkout.write("public/index.html", "third\n");
    checkout.commit("third");
    let (pushed, said) = checkout.push();
    assert!(pushed && said.contains("v3 is live"), "{said}\n{}", logs(&instance));
    assert_eq!(page(&instance, "web.localhost").as_deref(), Some("third\n"));
    started.terminate().await;
    instance.end();
}

#[tokio::test]
async fn an_app_is_where_its_url_says_also_at_another_port() {
    let instance = instance().serving_at(8080);
    let started = instance.start().await;
    let token = log_in(&instance);
    let checkout = create(&instance, &token, "web");
    checkout.write("Procfile", PROCFILE);
    checkout.write("public/index.html", "here\n");
    checkout.commit("first");
    let (pushed, said) = checkout.push();
    assert!(pushed && said.contains("v1 is live: http://web.localhost:8080"), "{said}\n{}", logs(&instance));
    assert_eq!(page(&instance, "web.localhost:8080").as_deref(), Some("here\n"));
    started.terminate().await;
    instance.end();
}

#[tokio::test]
async fn what_cannot_be_built_or_run_is_refused_with_its_reason() {
    let instance = instance();
    let _started = instance.start().await;
    let token = log_in(&instance);
    let checkout = create(&instance, &token, "web");
    checkout.write("README", "nothing to run\n");
    checkout.commit("empty");
    let (pushed, said) = checkout.push();
    assert!(!pushed && said.contains("Procfile"), "{said}\n{}", logs(&instance));

    checkout.write("Procfile", "web: exit 3\n");
    checkout.commit("ends at once");
    let (pushed, said) = checkout.push();
    assert!(!pushed && said.contains("web.1 ended: exit code 3"), "{said}\n{}", logs(&instance));
    assert!(said.contains("was not deployed"), "{said}");

    checkout.write("Procfile", PROCFILE);
    checkout.write("public/index.html", "works\n");
    checkout.commit("works");
    let (pushed, said) = checkout.push();
    assert!(pushed, "{said}\n{}", logs(&instance));
    assert_eq!(page(&instance, "web.localhost").as_deref(), Some("works\n"));

    let stranger = Checkout::new(instance.folder.path(), instance.api(), "other", &token);
    stranger.write("Procfile", PROCFILE);
    stranger.commit("to nobody");
    let (pushed, said) = stranger.push();
    assert!(!pushed && said.contains("not found"), "{said}");
    drop(_started);
    instance.end();
}

#[tokio::test]
async fn an_uploaded_archive_is_built_and_served() {
    let instance = instance();
    let started = instance.start().await;
    let token = log_in(&instance);
    let checkout = create(&instance, &token, "web");
    checkout.write("Procfile", PROCFILE);
    checkout.write("public/index.html", "uploaded\n");
    let archive = tar_of(&checkout);
    let answer = upload(instance.api(), "/v1/apps/web/builds", &token, b"no archive").unwrap();
    assert_eq!(answer.status, 422, "{answer:?}");
    let answer = upload(instance.api(), "/v1/apps/web/builds", &token, &archive).unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    until("it is served", || page(&instance, "web.localhost").as_deref() == Some("uploaded\n")).await;
    started.terminate().await;
    instance.end();
}

#[tokio::test]
async fn an_app_that_does_not_end_when_told_to_is_taken_down_all_the_same() {
    let instance = instance();
    let started = instance.start().await;
    let token = log_in(&instance);
    let checkout = create(&instance, &token, "web");
    checkout.write("Procfile", "web: trap '' TERM; httpd -f -p $PORT -h /app/public & while :; do sleep 1; done\n");
    checkout.write("public/index.html", "stubborn\n");
    checkout.commit("first");
    let (pushed, said) = checkout.push();
    assert!(pushed, "{said}\n{}", logs(&instance));
    assert_eq!(page(&instance, "web.localhost").as_deref(), Some("stubborn\n"));
    started.terminate().await;
    let begun = tokio::time::Instant::now();
    instance.end();
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
}

fn tar_of(checkout: &Checkout) -> Vec<u8> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--file", "-", "--exclude", ".git", "--directory"]).arg(checkout.folder()).arg(".");
    let output = tar.output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// What the programs of the instance have said, for a test that fails.
fn logs(instance: &Instance) -> String {
    let host = std::fs::read_to_string(instance.layout().log().join("flynn-host.log")).unwrap_or_default();
    format!("flynnd:\n{}\nflynn-host:\n{host}", instance.log())
}
