use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use flynn_core::{AppId, JobId};

use super::origin::{About, Origin, jobs};
use super::part::{self, Part, PartId, create, ids, present, remove_empty};
use super::{LiveLogs, LogsOptions};
use crate::shim::{read_json, write_json};

/// So many ended jobs of one app are kept, however little they wrote.
const MOST_JOBS: usize = 200;

/// The files of all logs of a node. Everything here blocks.
pub(super) struct Archive {
    options: LogsOptions,
    live: Arc<dyn LiveLogs>,
    /// The app of each job that has begun and was not put aside.
    open: Mutex<BTreeMap<JobId, AppId>>,
    /// What the ended jobs of each app take, where there are any.
    usage: Mutex<BTreeMap<AppId, Usage>>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A job whose log was put aside.
struct Sealed {
    app: AppId,
    directory: PathBuf,
    bytes: u64,
    at: SystemTime,
}

/// What ended jobs take.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    jobs: usize,
    bytes: u64,
}

impl Usage {
    fn of<'a>(all: impl IntoIterator<Item = &'a Sealed>) -> Self {
        all.into_iter()
            .fold(Self::default(), |sum, sealed| Self { jobs: sum.jobs + 1, bytes: sum.bytes + sealed.bytes })
    }

    fn fits(self, most: Self) -> bool {
        self.jobs <= most.jobs && self.bytes <= most.bytes
    }
}

impl Archive {
    pub(super) fn open(options: LogsOptions, live: Arc<dyn LiveLogs>) -> io::Result<Self> {
        let archive = Self { options, live, open: Mutex::default(), usage: Mutex::default() };
        for app in ids::<AppId>(archive.root())? {
            let mut ended = Vec::new();
            for job in ids(&jobs(archive.root(), app))? {
                match archive.sealed(app, job)? {
                    Some(sealed) => ended.push(sealed),
                    None => drop(lock(&archive.open).insert(job, app)),
                }
            }
            if !ended.is_empty() {
                lock(&archive.usage).insert(app, Usage::of(&ended));
            }
            // Whoever removed the last log of an app may have been killed before it came to this.
            for directory in [jobs(archive.root(), app), Origin::Platform(app).directory(archive.root())] {
                remove_empty(&directory.join("log"), 2);
            }
        }
        Ok(archive)
    }

    pub(super) fn root(&self) -> &Path {
        &self.options.directory
    }

    pub(super) fn begin(&self, app: AppId, job: JobId, about: &About) -> io::Result<()> {
        let directory = Origin::Job(app, job).directory(self.root());
        create(&directory)?;
        let path = directory.join("about.json");
        if !path.exists() {
            write_json(&path, about)?;
        }
        if !directory.join("parts").exists() {
            lock(&self.open).insert(job, app);
        }
        Ok(())
    }

    /// Puts the files of a job where they stay, under names that say what they were, all at once.
    pub(super) fn end(&self, job: JobId) -> io::Result<()> {
        let Some(app) = lock(&self.open).get(&job).copied() else { return Ok(()) };
        let directory = Origin::Job(app, job).directory(self.root());
        let (half, whole) = (directory.join("parts.half"), directory.join("parts"));
        if !whole.exists() {
            present(fs::remove_dir_all(&half))?;
            fs::create_dir_all(&half)?;
            for (place, part) in part::written(&self.live.files(job).log())?.iter().enumerate() {
                keep(part, &half.join(part.id.name(place)))?;
            }
            fs::rename(&half, &whole)?;
        }
        lock(&self.open).remove(&job);
        self.forget_old(app)
    }

    pub(super) fn begun(&self) -> Vec<JobId> {
        lock(&self.open).keys().copied().collect()
    }

    /// The jobs of an app whose logs are kept.
    pub(super) fn jobs(&self, app: AppId) -> io::Result<Vec<JobId>> {
        ids(&jobs(self.root(), app))
    }

    pub(super) fn about(&self, app: AppId, job: JobId) -> io::Result<Option<About>> {
        read_json(&Origin::Job(app, job).directory(self.root()).join("about.json"))
    }

    /// The files of a log, the oldest first, and whether nothing will be added to them.
    pub(super) fn parts(&self, origin: Origin) -> io::Result<(Vec<Part>, bool)> {
        let directory = origin.directory(self.root());
        let Origin::Job(_, job) = origin else {
            return Ok((part::written(&directory.join("log"))?, false));
        };
        let aside = directory.join("parts");
        if let Some(parts) = part::archived(&aside)? {
            return Ok((parts, true));
        }
        let live = part::written(&self.live.files(job).log())?;
        // While they were looked at they may have been put aside and some of them deleted.
        match part::archived(&aside)? {
            Some(parts) => Ok((parts, true)),
            None => Ok((live, !directory.exists())),
        }
    }

    /// What the newest file of a log is known by, without a look at the others.
    pub(super) fn newest(&self, origin: Origin) -> io::Result<Option<PartId>> {
        let log = match origin {
            Origin::Job(_, job) => self.live.files(job).log(),
            _ => origin.directory(self.root()).join("log"),
        };
        Ok(present(fs::metadata(log))?.map(|metadata| PartId::of(&metadata)))
    }

    fn sealed(&self, app: AppId, job: JobId) -> io::Result<Option<Sealed>> {
        let directory = Origin::Job(app, job).directory(self.root());
        let Some(parts) = part::archived(&directory.join("parts"))? else { return Ok(None) };
        let mut bytes = 0;
        for part in parts {
            bytes += present(fs::metadata(&part.path))?.map_or(0, |metadata| metadata.len());
        }
        let at = present(fs::metadata(directory.join("parts")))?.and_then(|metadata| metadata.modified().ok());
        Ok(Some(Sealed { app, directory, bytes, at: at.unwrap_or(SystemTime::UNIX_EPOCH) }))
    }

    /// Forgets the oldest ended jobs of an app, and of all apps, beyond what they may take.
    fn forget_old(&self, app: AppId) -> io::Result<()> {
        // Others that come to this at the same time would count what is being removed.
        let mut usage = lock(&self.usage);
        let most = Usage { jobs: MOST_JOBS, bytes: self.options.app_bytes };
        usage.insert(app, shrink(self.all_sealed(app)?, most)?);
        let most = Usage { jobs: self.options.total_jobs, bytes: self.options.total_bytes };
        let sum = |sum: Usage, usage: &Usage| Usage { jobs: sum.jobs + usage.jobs, bytes: sum.bytes + usage.bytes };
        if !usage.values().fold(Usage::default(), sum).fits(most) {
            let mut all = Vec::new();
            for app in usage.keys() {
                all.extend(self.all_sealed(*app)?);
            }
            // Some more than must, so that not every end of a job goes through them all.
            shrink(all, Usage { jobs: most.jobs - most.jobs / 16, bytes: most.bytes - most.bytes / 16 })?;
            for (app, usage) in &mut *usage {
                *usage = Usage::of(&self.all_sealed(*app)?);
            }
        }
        usage.retain(|_, usage| usage.jobs > 0);
        Ok(())
    }

    fn all_sealed(&self, app: AppId) -> io::Result<Vec<Sealed>> {
        let mut all = Vec::new();
        for job in self.jobs(app)? {
            all.extend(self.sealed(app, job)?);
        }
        Ok(all)
    }
}

/// Deletes the oldest until the rest takes no more than `most`. Answers what it takes.
fn shrink(mut all: Vec<Sealed>, most: Usage) -> io::Result<Usage> {
    all.sort_by_key(|sealed| sealed.at);
    let mut left = Usage::of(&all);
    for sealed in all {
        if left.fits(most) {
            break;
        }
        tracing::debug!(app = %sealed.app, directory = %sealed.directory.display(), "an old log is forgotten");
        present(fs::remove_dir_all(&sealed.directory))?;
        remove_empty(&sealed.directory, 2);
        left = Usage { jobs: left.jobs - 1, bytes: left.bytes - sealed.bytes };
    }
    Ok(left)
}

/// Keeps a file under another name, as a copy where it must be.
fn keep(part: &Part, target: &Path) -> io::Result<()> {
    match fs::hard_link(&part.path, target) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let mut from = File::open(&part.path)?;
            let mut to = File::create_new(target)?;
            io::copy(&mut from, &mut to)?;
            to.sync_all()
        }
        Err(error) => Err(error),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
