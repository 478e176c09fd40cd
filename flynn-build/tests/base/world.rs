use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flynn_build::base::{Base, BaseDriver, BaseKind, BaseSettings, BaseState, Bases, open};
use flynn_core::conformance::ManualClock;
use flynn_core::port::Blobs;
use flynn_core::{MemoryBlobs, Timestamp};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const KINDS: [BaseKind; 2] = [BaseKind::Run, BaseKind::Build];

/// A folder with a program in place of mmdebstrap, whose behaviour files beside it decide, and a blob store.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) blobs: Arc<MemoryBlobs>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) settings: BaseSettings,
}

/// A driver at work.
pub(crate) struct Running {
    pub(crate) bases: Bases,
    stop: oneshot::Sender<()>,
    driver: JoinHandle<()>,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        Self { blobs: Arc::new(MemoryBlobs::new(clock.clone())), folder, clock, settings }
    }

    pub(crate) fn open(&self) -> (Bases, BaseDriver) {
        open(self.settings.clone(), self.blobs.clone(), self.clock.clone()).unwrap()
    }

    pub(crate) fn start(&self) -> Running {
        let (bases, driver) = self.open();
        let (stop, stopped) = oneshot::channel();
        let driver = tokio::spawn(driver.run(async move {
            let _ = stopped.await;
        }));
        Running { bases, stop, driver }
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Which images the program was asked for so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.place("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) async fn forget(&self, base: &Base) {
        self.blobs.remove(base.layer, Timestamp::from_millis(u64::MAX)).await.unwrap();
    }

    /// What a file of the image says; none if the image has no such file.
    pub(crate) async fn read(&self, base: &Base, path: &str) -> Option<String> {
        let mut archive = Vec::new();
        self.blobs.open(base.layer).await.unwrap().read_to_end(&mut archive).await.unwrap();
        let file = self.place("image.tar");
        fs::write(&file, archive).unwrap();
        let tar = std::process::Command::new("tar").arg("-xOf").arg(file).arg(format!("./{path}")).output().unwrap();
        tar.status.success().then(|| String::from_utf8(tar.stdout).unwrap())
    }

    /// Nothing that the program started runs, and no file of its work is there.
    pub(crate) async fn assert_nothing_is_left(&self) {
        let folder = self.folder.path();
        eventually("the program has ended", || processes_of(folder).is_empty()).await;
        eventually("its files are gone", || fs::read_dir(folder.join("bases/work")).unwrap().next().is_none()).await;
    }
}

impl Running {
    pub(crate) async fn ready(&self) -> [Base; 2] {
        let mut bases = Vec::new();
        for kind in KINDS {
            bases.push(self.bases.wait(kind, drop).await.unwrap());
        }
        bases.try_into().unwrap()
    }

    pub(crate) fn is_hanging(&self) -> bool {
        matches!(self.bases.state(BaseKind::Run), BaseState::Making { step } if step == "hanging")
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.driver.await.unwrap();
    }
}

pub(crate) fn settings(folder: &Path) -> BaseSettings {
    let program = folder.join("mmdebstrap");
    if !program.exists() {
        fs::write(&program, include_str!("fake.sh")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    }
    let mut settings = BaseSettings::new(folder.join("bases"));
    settings.mmdebstrap.program = program;
    settings
}

/// The processes that have `folder` on their command line.
pub(crate) fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(folder) {
            found.push(command);
        }
    }
    found
}

pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 15 s: {what}");
}
