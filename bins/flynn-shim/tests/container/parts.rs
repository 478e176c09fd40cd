//! The parts of the suite for what a node puts around containers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::local::DirBlobs;
use flynn_core::port::ContainerSpec;
use flynn_core::{JobId, SystemClock};
use flynn_runtime::ContainerRuntime;
use flynn_runtime::conformance::images::{Content, ImagesHarness};
use flynn_runtime::conformance::network::NetworkHarness;
use flynn_runtime::conformance::{RuntimeHarness, leak};
use flynn_runtime::image::{ImageOptions, ImageStore, LayerTimes};
use flynn_runtime::network::{BridgeNetwork, BridgeOptions, Egress, Network};
use flynn_runtime::shim::Files;
use flynn_runtime::snapshot::{OverlaySnapshots, SnapshotOptions};
use tempfile::TempDir;

use super::Containers;

/// Runs what it is made for as [`Containers`] do.
macro_rules! as_containers {
    ($harness:ty) => {
        #[async_trait]
        impl RuntimeHarness for $harness {
            type Runtime = ContainerRuntime;

            async fn open(&self) -> ContainerRuntime {
                self.containers.open().await
            }

            fn spec(&self, command: &[&str]) -> ContainerSpec {
                self.containers.spec(command)
            }

            fn files(&self, job: JobId) -> Files {
                self.containers.files(job)
            }

            fn watched(&self) -> leak::Watched {
                self.containers.watched()
            }
        }
    };
}

/// Containers on a bridge, in a network namespace that plays the node.
pub(crate) struct Networked {
    containers: Containers,
    records: TempDir,
    bridge: String,
}

as_containers!(Networked);

impl Networked {
    pub(crate) fn new() -> Self {
        let containers = Containers::new();
        let name = containers.directory.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        let bridge = format!("c{}", name.trim_start_matches(".tmp"));
        let networked = Self { containers, records: TempDir::new().unwrap(), bridge };
        let made = Command::new("ip").args(["netns", "add"]).arg(networked.node().file_name().unwrap()).status();
        assert!(made.unwrap().success());
        networked
    }
}

impl Drop for Networked {
    /// Also after a failed test nothing stays.
    fn drop(&mut self) {
        leak::sweep(&self.watched());
        for entry in std::fs::read_dir("/run/netns").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&format!("{}-", self.bridge)) || Path::new("/run/netns").join(&name) == self.node() {
                let _ = Command::new("ip").args(["netns", "del", &name]).status();
            }
        }
    }
}

#[async_trait]
impl NetworkHarness for Networked {
    async fn network(&self) -> Box<dyn Network> {
        let options = BridgeOptions {
            directory: self.records.path().to_owned(),
            bridge: self.bridge.clone(),
            subnet: "10.98.0.0/24".parse().unwrap(),
            quarantine: Duration::ZERO,
            egress: Egress::default(),
            node: Some(self.node()),
        };
        Box::new(BridgeNetwork::open(options, Arc::new(SystemClock)).await.unwrap())
    }

    fn node(&self) -> PathBuf {
        Path::new("/run/netns").join(format!("flynn-test-{}", self.bridge))
    }
}

/// Containers on layers of images.
pub(crate) struct Imaged {
    containers: Containers,
    content: TempDir,
}

as_containers!(Imaged);

impl Imaged {
    pub(crate) fn new() -> Self {
        Self { containers: Containers::new(), content: TempDir::new().unwrap() }
    }
}

#[async_trait]
impl ImagesHarness for Imaged {
    async fn content(&self) -> Content {
        let blobs = DirBlobs::open(self.content.path().join("blobs"), Arc::new(SystemClock)).await.unwrap();
        let blobs = Arc::new(blobs);
        let options = ImageOptions::new(self.content.path().join("images"));
        let images = ImageStore::open(options, blobs.clone(), Arc::new(SystemClock)).await.unwrap();
        let options = SnapshotOptions { owner: "test".to_owned(), times: LayerTimes::Kept };
        let snapshots = OverlaySnapshots::new(&images, options);
        Content { blobs, images: Box::new(images), snapshots: Box::new(snapshots) }
    }

    fn snapshots(&self) -> usize {
        std::fs::read_dir(self.content.path().join("images/snapshots")).unwrap().count()
    }
}
