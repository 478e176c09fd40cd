use std::fs::{self, File, Permissions, TryLockError};
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flynn_core::Clock;
use flynn_core::port::{BlobReader, Blobs};
use flynn_core::value::Digest;
use tokio::task::spawn_blocking;

use super::bases::Shared;
use super::child::Leash;
use super::records::Records;
use super::{
    Base, BaseKind, BaseSettings, BaseSource, BaseState, Bases, MakeError, Recipe, archive, mmdebstrap, versions,
};

const OPEN: &str = "open base images";
const MAKE: &str = "make base image";

/// The order in which images are made: everything needs the first one.
const ORDER: [BaseKind; 2] = [BaseKind::Run, BaseKind::Build];

/// The time between two looks at what is there.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Makes base images. It does so only while its owner drives [`run`](Self::run).
#[derive(Debug)]
#[must_use = "no image is made unless the driver runs"]
pub struct BaseDriver {
    shared: Arc<Shared>,
    settings: BaseSettings,
    clock: Arc<dyn Clock>,
    records: Records,
    leash: Arc<Leash>,
    /// Held as long as the driver lives.
    _lock: File,
}

/// Opens the folder of base images and removes what an attempt left behind whose process was killed. It blocks on
/// the disk for a moment.
///
/// # Errors
/// `Invalid` for settings that cannot work or a folder that another process uses; `Unavailable` if the folder cannot
/// be written.
pub fn open(
    settings: BaseSettings,
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
) -> Result<(Bases, BaseDriver), MakeError> {
    settings.check()?;
    let lock = prepare(&settings)?;
    let shared = Arc::new(Shared::new(blobs));
    let records = Records::new(settings.directory.clone());
    let driver = BaseDriver { shared: shared.clone(), settings, clock, records, leash: Arc::default(), _lock: lock };
    Ok((Bases::new(shared), driver))
}

fn prepare(settings: &BaseSettings) -> Result<File, MakeError> {
    let failed = |error: io::Error| MakeError::unavailable(OPEN, error);
    let directory = &settings.directory;
    fs::create_dir_all(directory).map_err(failed)?;
    // The user that mmdebstrap becomes where it is not root has to get through.
    fs::set_permissions(directory, Permissions::from_mode(0o711)).map_err(failed)?;
    let lock = File::create(directory.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let problem = format!("another process makes base images in {}", directory.display());
            return Err(MakeError::Invalid { operation: OPEN, problem });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let work = work(settings);
    fs::create_dir_all(&work).map_err(failed)?;
    // The folder itself stays: on a full disk there may be no room to make it again.
    if let Err(error) = empty(&work) {
        // Without root only root can remove what mmdebstrap made under other user ids.
        tracing::warn!(%error, folder = %work.display(), "base images: what an attempt left cannot be removed");
    }
    fs::set_permissions(&work, Permissions::from_mode(0o711)).map_err(failed)?;
    Ok(lock)
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

fn work(settings: &BaseSettings) -> PathBuf {
    settings.directory.join("work")
}

impl BaseDriver {
    /// Makes what is missing, renews what is old, and tries again what failed, until `stop` is ready. An image that is
    /// being made then is given up and nothing is left of it.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut failures = 0_u32;
        loop {
            let whole = {
                let pass = self.pass();
                tokio::pin!(pass);
                tokio::select! {
                    whole = &mut pass => whole,
                    () = &mut stop => {
                        self.leash.cut();
                        let _: bool = pass.await;
                        return;
                    }
                }
            };
            failures = if whole { 0 } else { failures.saturating_add(1) };
            let rest = match failures {
                0 => LOOK_EVERY,
                failures => self.settings.patience * 2_u32.saturating_pow(failures - 1).min(100),
            };
            tokio::select! {
                () = &mut stop => return,
                () = self.shared.wanted.notified() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Looks at each image once and makes what is due; whether all are there and fresh.
    async fn pass(&self) -> bool {
        let mut keys = Vec::new();
        let mut whole = true;
        for kind in ORDER {
            if self.leash.is_cut() {
                return false;
            }
            match self.settle(kind).await {
                Ok(key) => keys.push(key),
                Err(error) => {
                    whole = false;
                    self.fail(kind, error);
                }
            }
        }
        if whole {
            let records = self.records.clone();
            if let Err(error) = on_files(MAKE, move || records.keep(&keys)).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "base images: old records stay");
            }
        }
        whole
    }

    /// An image that is there already goes on being used when it cannot be renewed.
    fn fail(&self, kind: BaseKind, error: MakeError) {
        if matches!(error, MakeError::Stopped) {
            return;
        }
        tracing::error!(
            error = &error as &dyn std::error::Error,
            kind = kind.as_str(),
            "base images: one could not be made"
        );
        self.shared.state(kind).send_if_modified(|state| {
            let missed = !matches!(state, BaseState::Ready(_));
            if missed {
                *state = BaseState::Failed(Arc::new(error));
            }
            missed
        });
    }

    async fn settle(&self, kind: BaseKind) -> Result<Digest, MakeError> {
        let key = self.key(kind).await?;
        let found = self.find(key).await?;
        if let Some(base) = found {
            self.shared.state(kind).send_replace(BaseState::Ready(base.clone()));
            let age = self.clock.now().since(base.made_at);
            let is_archive = matches!(self.settings.source(kind), BaseSource::Archive(_));
            if is_archive || age < self.settings.renew_after {
                return Ok(key);
            }
        } else {
            self.shared.state(kind).send_replace(BaseState::Making { step: String::from("begin") });
        }
        let base = self.make(kind).await?;
        let (records, record) = (self.records.clone(), base.clone());
        on_files(MAKE, move || records.write(key, &record)).await?;
        tracing::info!(kind = kind.as_str(), layer = %base.layer, bytes = base.bytes, "base images: one was made");
        self.shared.state(kind).send_replace(BaseState::Ready(base));
        Ok(key)
    }

    async fn key(&self, kind: BaseKind) -> Result<Digest, MakeError> {
        match self.settings.source(kind) {
            BaseSource::Debian => Ok(Recipe::new(kind, &self.settings.mmdebstrap)?.key()),
            BaseSource::Archive(path) => {
                let path = path.clone();
                on_files(MAKE, move || {
                    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                    archive::key(&path).map_err(named)
                })
                .await
            }
        }
    }

    /// What is recorded under a key, if the blob store has it still.
    async fn find(&self, key: Digest) -> Result<Option<Base>, MakeError> {
        let records = self.records.clone();
        let Some(base) = on_files("read record of base image", move || records.read(key)).await? else {
            return Ok(None);
        };
        let there = self.shared.blobs.stat(base.layer).await.map_err(MakeError::blobs("find base image"))?;
        Ok(there.map(|_| base))
    }

    async fn make(&self, kind: BaseKind) -> Result<Base, MakeError> {
        let made_at = self.clock.now();
        match self.settings.source(kind) {
            BaseSource::Archive(path) => {
                let content = archive::read(path.clone()).await?;
                self.store(content, made_at).await
            }
            BaseSource::Debian => {
                let shared = self.shared.clone();
                let report = move |step: String| {
                    shared.state(kind).send_if_modified(|state| {
                        let told = matches!(state, BaseState::Making { .. });
                        if told {
                            *state = BaseState::Making { step };
                        }
                        told
                    });
                };
                let made = mmdebstrap::make(kind, &self.settings, &work(&self.settings), &self.leash, report).await?;
                let file = tokio::fs::File::open(made.archive()).await;
                let file = file.map_err(|error| MakeError::unavailable(MAKE, error))?;
                let base = self.store(Box::new(file), made_at).await?;
                on_files(MAKE, move || made.remove()).await?;
                Ok(base)
            }
        }
    }

    async fn store(&self, content: BlobReader, made_at: flynn_core::Timestamp) -> Result<Base, MakeError> {
        let blob = self.shared.blobs.put(content, None).await.map_err(MakeError::blobs("store base image"))?;
        let layer = self.shared.blobs.open(blob.digest).await.map_err(MakeError::blobs("read base image"))?;
        let versions = versions::read(layer).await.map_err(|error| MakeError::unavailable("read base image", error))?;
        Ok(Base { layer: blob.digest, bytes: blob.bytes, made_at, versions })
    }
}

impl Drop for BaseDriver {
    fn drop(&mut self) {
        self.leash.cut();
        for kind in ORDER {
            self.shared.state(kind).send_if_modified(|state| {
                let missed = !matches!(state, BaseState::Ready(_));
                if missed {
                    *state = BaseState::Stopped;
                }
                missed
            });
        }
    }
}

async fn on_files<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, MakeError> {
    let done = spawn_blocking(work).await.map_err(io::Error::other).flatten();
    done.map_err(|error| MakeError::unavailable(operation, error))
}
