use std::io::Write;

use bytes::Bytes;
use flynn_build::git::GitBody;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_service::Service;

use crate::world::World;

async fn call(world: &World, request: http::request::Builder, body: Vec<u8>) -> Response<GitBody> {
    let request = request.header("authorization", "Bearer sesame").body(Full::new(Bytes::from(body))).unwrap();
    world.service.clone().call(request).await.unwrap()
}

async fn text(response: Response<GitBody>) -> String {
    String::from_utf8_lossy(&response.into_body().collect().await.unwrap().to_bytes()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_requests_are_read() {
    let world = World::new().await;
    let client = world.client().await;
    let commit = client.commit_script("").await;
    client.push("main").await.expect_ok();
    let want = format!("0032want {commit}\n00000009done\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(want.as_bytes()).unwrap();
    let request = Request::post("/git/web.git/git-upload-pack")
        .header("content-type", "application/x-git-upload-pack-request")
        .header("content-encoding", "gzip");
    let answer = call(&world, request, gzip.finish().unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"0008NAK\n") && body.windows(4).any(|part| part == b"PACK"), "{body:?}");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_headers_of_the_smart_protocol() {
    let world = World::new().await;
    let answer = call(&world, Request::get("/git/web.git/info/refs?service=git-receive-pack"), Vec::new()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/x-git-receive-pack-advertisement");
    assert_eq!(answer.headers()["cache-control"], "no-cache, no-store");
    let body = text(answer).await;
    assert!(body.starts_with("001f# service=git-receive-pack\n0000"), "{body}");
    assert!(body.contains("push-options") && body.contains("side-band-64k"), "{body}");

    let request = Request::get("/git/web.git/info/refs?service=git-upload-pack").header("git-protocol", "version=2");
    assert!(text(call(&world, request, Vec::new()).await).await.contains("version 2"));
    let request = Request::get("/git/web.git/info/refs?service=git-upload-pack").header("git-protocol", "version=2;x");
    assert!(!text(call(&world, request, Vec::new()).await).await.contains("version 2"));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_credentials_is_asked_for_them() {
    let world = World::new().await;
    let request =
        Request::get("/git/web.git/info/refs?service=git-upload-pack").body(Full::<Bytes>::default()).unwrap();
    let answer = world.service.clone().call(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["www-authenticate"], r#"Basic realm="flynn", charset="UTF-8""#);
    assert!(text(answer).await.contains("flynn login"));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_deploy_gives_signs_of_life() {
    let world = World::with(|settings| settings.keep_alive = std::time::Duration::from_secs(1)).await;
    let client = world.client().await;
    client.commit_script("say holding\nwait\n").await;
    let mut push = client.command(&["push", "flynn", "main"]);
    let trace = world.folder.path().join("trace");
    let mut child = push.env("GIT_TRACE_CURL", &trace).spawn().unwrap();
    // An empty packet of the first band.
    let signs = || std::fs::read_to_string(&trace).unwrap_or_default().matches(".0005.").count();
    crate::world::until("two signs of life", || signs() >= 2).await;
    assert!(child.try_wait().unwrap().is_none());
    world.handler.gate.add_permits(1);
    assert!(child.wait().await.unwrap().success());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_service_says_so() {
    let world = World::new().await;
    let client = world.client().await;
    client.commit_script("").await;
    let service = world.service.clone();
    world.close().await;
    let request = Request::post("/git/web.git/git-upload-pack")
        .header("content-type", "application/x-git-upload-pack-request")
        .header("authorization", "Bearer sesame");
    // The repository is gone with the test's folder, so the service cannot even make one.
    let answer = service.clone().call(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}
