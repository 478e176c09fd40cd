//! Static sites.

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_site_is_a_server_and_its_files() {
    let world = World::new().await;
    let files = [("index.html", "<h1>a</h1>"), ("Procfile", "web: ./mine\nworker: ./work\n"), ("Staticfile", "")];
    let build = world.place(world.cluster.app, world.source(&files).await).await;
    let flynn_core::noun::BuildState::Succeeded(output) = world.working(world.ended(build)).await else {
        panic!("{:?}", world.log(build));
    };
    assert_eq!(world.node.started().len(), 0, "nothing is run to build it");
    let web = output.processes.iter().find(|(name, _)| name.as_str() == "web").unwrap().1;
    assert_eq!(web.command, ["/layers/site/serve.sh"]);
    assert_eq!(web.port, Some(8080));
    assert!(output.processes.keys().any(|name| name.as_str() == "worker"));
    assert!(world.log(build).iter().any(|line| line.contains("`web` of the Procfile is not run")));
    let layers = world.layers(output.image).await;
    assert_eq!(layers.len(), 3, "base, server and source");
    let server = String::from_utf8_lossy(&world.blob(layers[1]).await).into_owned();
    assert!(server.contains("root \"/app\";"));
    world.assert_empty();

    let other = world.built(world.cluster.app, &[("index.html", "<h1>b</h1>"), ("Staticfile", "")]).await;
    assert_ne!(world.layers(other.image).await[1], layers[1], "the server says by what tree a page is");
}
