//! Jobs that serve, as plain processes.

use std::fs;
use std::time::Duration;

use flynn_core::noun::{Desired, Exit, Health, HealthCheck, JobState, Probe, ProcessType};

use crate::ground::Ground;

fn check() -> HealthCheck {
    let interval = Duration::from_millis(20);
    let probe = Probe::Http { path: "/page".parse().unwrap() };
    HealthCheck { probe, interval, timeout: Duration::from_secs(5), threshold: 2 }
}

async fn health(ground: &Ground, job: flynn_core::JobId) -> Option<Health> {
    match ground.cluster.state(job).await {
        JobState::Up { health, .. } => Some(health),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_up_when_it_answers_and_unhealthy_when_not() {
    let ground = Ground::new(false).await;
    let agent = ground.start_plain();
    let pages = ground.place.path().join("pages");
    fs::create_dir(&pages).unwrap();
    let serve = format!("exec httpd -f -p 127.0.0.1:$PORT -h {}", pages.display());
    let program = ProcessType { port: Some(8080), check: Some(check()), ..ground.script(&serve) };
    let job = ground.cluster.place(ground.cluster.service(program)).await;
    let starting = async || (ground.cluster.state(job).await == JobState::Starting).then_some(());
    ground.cluster.until("it is starting", starting).await;
    fs::write(pages.join("page"), "hello").unwrap();
    let address = ground.cluster.up(job).await.unwrap();
    tokio::net::TcpStream::connect(address).await.unwrap();
    let until = async |wanted: Health| {
        ground
            .cluster
            .until("its health has changed", async || (health(&ground, job).await == Some(wanted)).then_some(()))
            .await;
    };
    until(Health::Healthy).await;
    fs::rename(pages.join("page"), pages.join("gone")).unwrap();
    until(Health::Unhealthy).await;

    // The next agent goes on from what the last one knew.
    agent.kill().await;
    fs::rename(pages.join("gone"), pages.join("page")).unwrap();
    let agent = ground.start_plain();
    until(Health::Healthy).await;
    assert_eq!(ground.cluster.up(job).await, Some(address));
    agent.kill().await;
    let agent = ground.start_plain();
    fs::remove_file(pages.join("page")).unwrap();
    until(Health::Unhealthy).await;
    ground.cluster.tell(job, Desired::Down).await;
    assert_eq!(ground.cluster.exit(job).await, Exit::Signal(15));
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_check_an_open_port_is_enough() {
    let ground = Ground::new(false).await;
    let agent = ground.start_plain();
    let wait = ground.place.path().join("go");
    let script = format!(
        "echo $FLYNN_APP $FLYNN_RELEASE $FLYNN_PROCESS $FLYNN_NODE $FLYNN_JOB $SECRET; while [ ! -e {} ]; do sleep 0.02; done; exec httpd -f -p 127.0.0.1:$PORT",
        wait.display()
    );
    let program = ProcessType { port: Some(8080), ..ground.script(&script) };
    let job = ground.cluster.place(ground.cluster.service(program.clone())).await;
    let other = ground.cluster.place(ground.cluster.service(program)).await;
    let starting = async || (ground.cluster.state(job).await == JobState::Starting).then_some(());
    ground.cluster.until("it is starting", starting).await;
    fs::write(&wait, "").unwrap();
    let (address, beside) = (ground.cluster.up(job).await.unwrap(), ground.cluster.up(other).await.unwrap());
    assert_ne!(address, beside);
    let lines = agent.lines(ground.cluster.app, flynn_core::port::LogSelection::Job(job)).await;
    assert_eq!(lines[0].text, format!("web v1 web.1 n1 {job} 42"));
    ground.finish(agent).await;
}
