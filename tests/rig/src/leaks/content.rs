use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flynn_build::collect::{CollectSettings, Collected, Collector};
use flynn_core::local::DirBlobs;
use flynn_core::noun::{Build, BuildState, Job, Objects, Release};
use flynn_core::port::Store;
use flynn_core::sqlite::{SqliteOptions, SqliteStore};
use flynn_core::value::Digest;
use flynn_core::{Scope, SystemClock};
use flynn_instance::Layout;
use flynn_runtime::image::{self, ImageOptions, ImageStore};
use serde_json::Value;

/// Blobs and unpacked layers of an instance that does not run which nothing names, and which stay although its own
/// collectors were told to keep nothing beyond need; and what stopped these collectors, such as a build that never ends.
/// What they can take away is taken away.
pub fn of_content(layout: &Layout) -> Vec<String> {
    if !layout.store().exists() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(SqliteStore::open(SqliteOptions::new(layout.store())).await.unwrap());
        let blobs = Arc::new(DirBlobs::open(layout.blobs(), Arc::new(SystemClock)).await.unwrap());
        let objects = store.snapshot(Scope::All).await.unwrap().objects;
        let mut found = layers(layout, blobs.clone(), &objects).await;
        let settings = CollectSettings { every: Duration::ZERO, keep: Duration::ZERO };
        match Collector::new(store.clone(), blobs, Arc::new(SystemClock), settings).pass().await {
            Ok(Collected { cut_short: false, .. }) => found.extend(surplus_blobs(layout, &objects)),
            Ok(_) => found.push("blobs: a build is under way forever, so that none is collected".to_owned()),
            Err(error) => found.push(format!("blobs: {:#}", anyhow::Error::from(error))),
        }
        store.close().await;
        found
    })
}

/// Lets the node's collector work, and finds the layers that stay and that no job runs on.
async fn layers(layout: &Layout, blobs: Arc<DirBlobs>, objects: &Objects) -> Vec<String> {
    let directory = layout.node().join("images");
    if !directory.exists() {
        return Vec::new();
    }
    let manifests: BTreeSet<_> = objects.iter::<Job>().map(|job| job.spec.workload.image).collect();
    let options = ImageOptions { lease: Duration::ZERO, ..ImageOptions::new(&directory) };
    let images = ImageStore::open(options, blobs, Arc::new(SystemClock)).await.unwrap();
    let live = image::Live { manifests: manifests.clone(), chains: Vec::new() };
    if let Err(error) = images.collect(&live).await {
        return vec![format!("layers: {:#}", anyhow::Error::from(error))];
    }
    let needed = with_content(layout, manifests);
    let entries = fs::read_dir(directory.join("layers/sha256")).into_iter().flatten().flatten();
    let surplus = entries.filter(|entry| !needed.contains(entry.file_name().to_string_lossy().as_ref()));
    surplus.map(|entry| format!("layer {}, which no job needs", entry.path().display())).collect()
}

fn surplus_blobs(layout: &Layout, objects: &Objects) -> Vec<String> {
    let mut manifests: BTreeSet<_> = objects.iter::<Release>().map(|release| release.spec.image).collect();
    manifests.extend(objects.iter::<Job>().map(|job| job.spec.workload.image));
    manifests.extend(objects.iter::<Build>().filter_map(|build| match &build.status.state {
        BuildState::Succeeded(output) => Some(output.image),
        _ => None,
    }));
    let named = with_content(layout, manifests);
    let root = layout.blobs().join("sha256");
    let mut surplus = Vec::new();
    for path in files(&root) {
        let hex: String = path.strip_prefix(&root).unwrap().to_string_lossy().replace('/', "");
        if !named.contains(&hex) {
            surplus.push(format!("blob {}, which nothing names", path.display()));
        }
    }
    surplus
}

/// The digests of these manifests, and of all that they name, in hexadecimal digits.
fn with_content(layout: &Layout, manifests: BTreeSet<Digest>) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for manifest in manifests {
        let hex = manifest.hex();
        let (folder, file) = hex.split_at(2);
        let text = fs::read(layout.blobs().join("sha256").join(folder).join(file)).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&text).unwrap_or_default();
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let content = layers.chain([&manifest["config"]]).filter_map(|part| part["digest"].as_str());
        named.extend(content.filter_map(|digest| Some(digest.split_once(':')?.1.to_owned())));
        named.insert(hex);
    }
    named
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}
