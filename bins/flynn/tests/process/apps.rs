//! Apps and the git repository around them.

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_created_renamed_and_destroyed_with_its_git_remote() {
    let world = World::with_login().await;
    world.git(&["init", "-b", "trunk"]).await;
    let out = world.flynn(["create", "web"]).await.ok();
    assert!(
        out.contains("http://web.apps.example:8080 once") && out.ends_with("Deploy with: git push flynn trunk\n"),
        "{out}"
    );
    let url = format!("{}/git/web.git", world.url());
    assert_eq!(world.git(&["remote", "get-url", "flynn"]).await.ok().trim(), url);

    let info = world.flynn(["info", "--json"]).await.json();
    assert_eq!((&info["name"], &info["release"]), (&"web".into(), &serde_json::Value::Null));
    assert!(world.flynn(["create", "web"]).await.failed(4).contains("web"));
    assert_eq!(world.flynn(["maintenance", "on"]).await.ok(), "Maintenance of web is on.\n");
    assert_eq!(world.flynn(["maintenance"]).await.ok(), "Maintenance of web is on.\n");

    let renamed = world.flynn(["rename", "shop"]).await.ok();
    assert_eq!(renamed, "Renamed web to shop; the git remote `flynn` follows.\n");
    assert_eq!(world.flynn(["open"]).await.ok(), "http://shop.apps.example:8080\n");
    assert_eq!(world.flynn(["apps", "--json"]).await.json()[0]["name"], "shop");

    assert!(world.flynn(["destroy"]).await.failed(2).contains("--confirm shop"));
    assert!(world.flynn(["destroy", "--confirm", "web"]).await.failed(2).contains("nothing was destroyed"));
    assert_eq!(world.flynn(["destroy", "--confirm", "shop"]).await.ok(), "shop is being destroyed.\n");
    assert_eq!(world.git(&["remote"]).await.ok(), "");
    assert_eq!(world.flynn(["info", "-a", "nothing"]).await.code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn git_asks_for_the_token_of_the_cluster_and_of_nothing_else() {
    let world = World::with_login().await;
    world.git(&["init", "-b", "main"]).await;
    world.flynn(["create", "web"]).await.ok();
    let fill = async |host: &str| {
        let mut command = world.command("git");
        command.args(["credential", "fill"]);
        crate::world::finish(command, &format!("protocol=http\nhost={host}\npath=git/web.git\n\n")).await
    };
    let own = fill(&world.tcp.to_string()).await;
    assert!(own.code == 0 && own.out.contains("username=flynn\npassword=flynn_"), "{own:?}");
    let other = fill("127.0.0.1:1").await;
    assert!(other.code != 0 && !other.out.contains("password"), "{other:?}");

    // A remote of somebody else's is left alone.
    world.git(&["remote", "set-url", "flynn", "git@example.org:a/b.git"]).await.ok();
    let refused = world.flynn(["create", "second"]).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(world.git(&["remote", "get-url", "flynn"]).await.ok(), "git@example.org:a/b.git\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_routes_are_added_and_removed() {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    world.flynn(["create", "other"]).await.ok();
    world.flynn(["domains:add", "shop.example", "-a", "web"]).await.ok();
    let taken = world.flynn(["domains", "add", "shop.example", "-a", "other"]).await.failed(4);
    assert!(taken.contains("shop.example"), "{taken}");
    let domains = world.flynn(["domains", "-a", "web"]).await.ok();
    assert_eq!(domains, "shop.example\tadded\nweb.apps.example\tdefault\n");
    world.flynn(["domains", "remove", "shop.example", "-a", "web"]).await.ok();

    let added = world.flynn(["routes:add:http", "shop.example/api", "--sticky", "-a", "web", "--json"]).await.json();
    let id = added["id"].as_str().unwrap();
    assert!(
        world
            .flynn(["routes", "-a", "web"])
            .await
            .ok()
            .contains(&format!("{id}\thttp\tshop.example/api\tweb\tsticky\n"))
    );
    world.flynn(["routes", "remove", id, "-a", "web"]).await.ok();
    assert_eq!(world.flynn(["routes", "remove", id, "-a", "web"]).await.code, 3);
    assert!(world.flynn(["domains", "add", "no host", "-a", "web"]).await.failed(1).contains("host"));
}
