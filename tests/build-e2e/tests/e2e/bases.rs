//! The base images that all end-to-end tests share, and where they are kept unpacked between runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flynn_build::base::{BaseError, BaseImage, BaseImages, BaseKind, BaseSettings, BaseSource, open};
use flynn_core::SystemClock;
use flynn_core::local::DirBlobs;
use flynn_core::value::Digest;

/// Both base images, the blobs in which their layers are, and a place where these are unpacked. One test at a time
/// has it.
pub(crate) struct KeptBases {
    pub(crate) blobs: Arc<DirBlobs>,
    pub(crate) unpacked: PathBuf,
    images: BTreeMap<BaseKind, BaseImage>,
    _lock: File,
}

impl KeptBases {
    /// Takes them from their archives, if that was not done before.
    pub(crate) async fn open() -> Arc<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build-e2e");
        std::fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join("lock")).unwrap();
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.unwrap().unwrap();
        let clock = Arc::new(SystemClock);
        let blobs = Arc::new(DirBlobs::open(folder.join("blobs"), clock.clone()).await.unwrap());
        let [run, build] = flynn_rig::bases().map(BaseSource::Archive);
        let settings = BaseSettings { run, build, ..BaseSettings::new(folder.join("bases")) };
        let (bases, driver) = open(settings, blobs.clone(), clock).unwrap();
        let mut images = BTreeMap::new();
        let made = async {
            for kind in [BaseKind::Run, BaseKind::Build] {
                images.insert(kind, bases.ensure(kind).await.unwrap());
            }
        };
        driver.run(made).await;
        Arc::new(Self { blobs, unpacked: folder.join("images"), images, _lock: lock })
    }

    /// The layers of each.
    pub(crate) fn chains(&self) -> Vec<Vec<Digest>> {
        self.images.values().map(|image| image.layers.clone()).collect()
    }
}

#[async_trait]
impl BaseImages for KeptBases {
    async fn ensure(&self, kind: BaseKind) -> Result<BaseImage, BaseError> {
        Ok(self.images[&kind].clone())
    }
}
