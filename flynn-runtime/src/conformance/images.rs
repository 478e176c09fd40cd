//! Containers on layers: from an image, each for itself, and what they wrote as a layer for others.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::JobId;
use flynn_core::noun::Exit;
use flynn_core::port::{Blobs, ImageError, Images, Prepared, Runtime, Snapshots};
use flynn_core::value::Digest;
use serde_json::json;

use super::{RuntimeHarness, World, busybox_root};

/// Makes images and snapshots for the containers of a runtime.
#[async_trait]
pub trait ImagesHarness: RuntimeHarness {
    /// Opens them on a place of their own.
    async fn content(&self) -> Content;

    /// How many snapshots there are.
    fn snapshots(&self) -> usize;
}

/// What containers are made from.
pub struct Content {
    /// Where layers, configurations and manifests come from.
    pub blobs: Arc<dyn Blobs>,
    /// Images that are filled from there.
    pub images: Box<dyn Images>,
    /// File systems over them.
    pub snapshots: Box<dyn Snapshots>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

impl Content {
    async fn put(&self, content: Vec<u8>) -> Digest {
        self.blobs.put(Box::new(std::io::Cursor::new(content)), None).await.unwrap().digest
    }

    /// Puts a layer that tar makes of what `make` makes.
    async fn layer(&self, place: &Path, make: impl FnOnce(&Path)) -> Digest {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir_all(place).unwrap();
        make(place);
        fs::set_permissions(place, PermissionsExt::from_mode(0o755)).unwrap();
        let mut tar = Command::new("tar");
        let output = tar.arg("-C").arg(place).args(["--owner=0", "--group=0", "-c", "."]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::remove_dir_all(place).unwrap();
        self.put(output.stdout).await
    }

    /// Puts an image of uncompressed layers that says of each which digest its content has.
    async fn image(&self, layers: &[(Digest, Digest)]) -> Digest {
        let ids: Vec<_> = layers.iter().map(|(_, content)| content).collect();
        let config = json!({ "os": "linux", "rootfs": { "type": "layers", "diff_ids": ids } });
        let config = self.put(config.to_string().into_bytes()).await;
        let kind = "application/vnd.oci.image.layer.v1.tar";
        let layers = layers.iter().map(|(layer, _)| json!({ "mediaType": kind, "digest": layer, "size": 1 }));
        let layers: Vec<_> = layers.collect();
        let manifest = json!({ "schemaVersion": 2, "config": { "digest": config, "size": 1 }, "layers": layers });
        self.put(manifest.to_string().into_bytes()).await
    }

    /// An image of two layers, the upper of which changes and hides files of the lower.
    async fn sample(&self, place: &Path) -> Digest {
        let lower = self.layer(place, |root| {
            busybox_root(root);
            fs::write(root.join("etc/both"), "lower\n").unwrap();
            fs::write(root.join("etc/hidden"), "lower\n").unwrap();
            fs::write(root.join("etc/low"), "lower\n").unwrap();
        });
        let lower = lower.await;
        let upper = self.layer(place, |root| {
            fs::create_dir(root.join("etc")).unwrap();
            fs::write(root.join("etc/both"), "upper\n").unwrap();
            fs::write(root.join("etc/.wh.hidden"), "").unwrap();
        });
        let upper = upper.await;
        self.image(&[(lower, lower), (upper, upper)]).await
    }
}

fn place<H: RuntimeHarness>(world: &World<H>) -> std::path::PathBuf {
    world.harness.watched().directory.join("layer")
}

/// Runs a script as root on a prepared file system to its end.
async fn run<H: RuntimeHarness>(world: &World<H>, prepared: &Prepared, script: &str) -> (JobId, Vec<String>) {
    let job = world.job();
    let mut spec = world.script(job, script);
    spec.root = prepared.mounts.clone();
    spec.process.user = (0, 0);
    world.start(job, spec).await;
    assert_eq!(world.exit(job).await, Exit::Code(0), "{:?}", world.lines(job));
    (job, world.output(job))
}

/// Its layers are seen as one file system, the upper ones first.
pub async fn a_container_sees_all_layers_of_its_image<H: ImagesHarness>(world: &World<H>) {
    let content = world.harness.content().await;
    let manifest = content.sample(&place(world)).await;
    let image = content.images.resolve(manifest).await.unwrap();
    assert_eq!((image.manifest, image.layers.len()), (manifest, 2));
    let prepared = content.snapshots.prepare(&image.layers).await.unwrap();
    let (job, seen) = run(world, &prepared, "cat /etc/both /etc/low; test -e /etc/hidden || echo hidden").await;
    assert_eq!(seen, ["upper", "lower", "hidden"]);
    world.runtime.remove(job).await.unwrap();
    content.snapshots.discard(&prepared.key).await.unwrap();
    assert_eq!(world.harness.snapshots(), 0);
}

/// What containers of one image write is their own, and gone when they are.
pub async fn containers_of_one_image_share_nothing<H: ImagesHarness>(world: &World<H>) {
    let content = world.harness.content().await;
    let image = content.images.resolve(content.sample(&place(world)).await).await.unwrap();
    let look = "cat /etc/both; test -e /new || echo none";
    let mut made = Vec::new();
    for number in 0..2 {
        let prepared = content.snapshots.prepare(&image.layers).await.unwrap();
        let script =
            format!("{look}; echo {number} > /new; echo {number} > /etc/both; rm /etc/low; cat /new /etc/both");
        let (job, seen) = run(world, &prepared, &script).await;
        let number = number.to_string();
        assert_eq!(seen, ["upper", "none", number.as_str(), number.as_str()]);
        made.push((job, prepared));
    }
    // While it runs or has just ended, its file system is in use.
    let kept = content.snapshots.discard(&made[0].1.key).await;
    assert!(matches!(kept, Err(ImageError::Unavailable { .. })), "{kept:?}");
    for (job, prepared) in made {
        world.runtime.remove(job).await.unwrap();
        content.snapshots.discard(&prepared.key).await.unwrap();
    }
    assert_eq!(world.harness.snapshots(), 0);
}

/// What a container wrote is a layer, over which others see it; those on the image alone do not.
pub async fn what_a_container_wrote_becomes_a_layer<H: ImagesHarness>(world: &World<H>) {
    let content = world.harness.content().await;
    let image = content.images.resolve(content.sample(&place(world)).await).await.unwrap();
    let prepared = content.snapshots.prepare(&image.layers).await.unwrap();
    let (job, _) = run(world, &prepared, "echo made > /made; rm /etc/low").await;
    world.runtime.remove(job).await.unwrap();
    let layer = content.snapshots.commit(&prepared.key).await.unwrap();
    assert!(content.blobs.stat(layer).await.unwrap().is_some(), "others can have it");
    let look = "test -e /made && cat /made; test -e /etc/low || echo gone; true";
    for (chain, expected) in
        [([image.layers.clone(), vec![layer]].concat(), &["made", "gone"][..]), (image.layers.clone(), &[])]
    {
        let prepared = content.snapshots.prepare(&chain).await.unwrap();
        let (job, seen) = run(world, &prepared, look).await;
        assert_eq!(seen, expected);
        world.runtime.remove(job).await.unwrap();
        content.snapshots.discard(&prepared.key).await.unwrap();
    }
    assert_eq!(world.harness.snapshots(), 0);
}

/// An image whose layer is not what its configuration says is refused, and so is one that is not there.
pub async fn an_image_that_is_not_what_it_says_is_refused<H: ImagesHarness>(world: &World<H>) {
    let content = world.harness.content().await;
    let said = Digest::from_bytes([1; 32]);
    let layer = content.layer(&place(world), |root| fs::write(root.join("file"), "x").unwrap()).await;
    let manifest = content.image(&[(layer, said)]).await;
    let refused = content.images.resolve(manifest).await.unwrap_err();
    let is_told = matches!(refused, ImageError::Corrupt { .. } | ImageError::Invalid { .. });
    assert!(is_told, "{refused:?}");
    let missing = content.images.resolve(said).await.unwrap_err();
    assert!(matches!(missing, ImageError::NotFound { .. }), "{missing:?}");
    let missing = content.snapshots.prepare(&[said]).await.unwrap_err();
    assert!(matches!(missing, ImageError::NotFound { .. }), "{missing:?}");
    assert_eq!(world.harness.snapshots(), 0);
}
