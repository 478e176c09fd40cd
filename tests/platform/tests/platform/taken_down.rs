use platform::{Instance, get, remains, serve, until};

#[tokio::test]
async fn an_instance_that_is_taken_down_leaves_its_data_alone() {
    let (instance, other) = (Instance::new(), Instance::new());
    let (started, beside) = (instance.start().await, other.start().await);
    let _served = serve(&instance.store(), instance.host).await;
    until("the router has the route", || get(instance.http(), "web.test").is_some_and(|answer| answer.status == 200))
        .await;
    assert!(!remains(&instance.layout()).is_empty(), "what is looked for is there before");
    let router_beside = other.holder("flynn-router");
    assert!(router_beside.is_some());

    let reaper = tokio::task::spawn_blocking(move || started.wait());
    assert!(instance.down().status.success());
    reaper.await.unwrap();
    assert_eq!(remains(&instance.layout()), [""; 0]);
    assert!(instance.layout().store().exists());
    assert_eq!(other.holder("flynn-router"), router_beside, "another instance is not touched");

    assert!(instance.down().status.success(), "there is nothing to do");
    let again = instance.start().await;
    until("the routes are there again", || get(instance.http(), "web.test").is_some_and(|answer| answer.status == 200))
        .await;
    drop((again, beside));
    instance.end();
    other.end();
}

#[tokio::test]
async fn a_control_plane_that_is_stopped_leaves_the_others_running() {
    let instance = Instance::new();
    let started = instance.start().await;
    let _served = serve(&instance.store(), instance.host).await;
    until("the router has the route", || get(instance.http(), "web.test").is_some_and(|answer| answer.status == 200))
        .await;
    until("the agent runs", || instance.holder("flynn-host").is_some()).await;
    let others = ["flynn-router", "flynn-host"].map(|program| instance.holder(program));
    assert!(others.iter().all(Option::is_some), "{others:?}");

    let reaper = tokio::task::spawn_blocking(move || started.wait());
    let output = instance.stop();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(reaper.await.unwrap().success(), "it ends by itself");
    assert_eq!(instance.holder("flynnd"), None);
    assert_eq!(["flynn-router", "flynn-host"].map(|program| instance.holder(program)), others);
    assert_eq!(get(instance.http(), "web.test").unwrap().status, 200);
    assert!(instance.stop().status.success(), "there is nothing to do");
    instance.end();
}

#[test]
fn where_nothing_is_nothing_is_taken_down() {
    let instance = Instance::new();
    for output in [instance.down(), instance.stop()] {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!instance.layout().data().exists());
}
