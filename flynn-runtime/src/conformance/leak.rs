//! What a runtime may leave behind, counted before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::{CgroupParent, Cgroups};
use crate::shim::{Files, ShimRecord, read_json};

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The directory of the runtime: jobs, locks, what is being deleted, mounts, and processes that name it.
    pub directory: PathBuf,
    /// The parent of its control groups.
    pub cgroups: Option<CgroupParent>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Files and directories below the runtime's own.
    pub files: BTreeSet<PathBuf>,
    /// Mounts below it, in any process's mount namespace.
    pub mounts: BTreeSet<String>,
    /// Control groups below the parent.
    pub cgroups: BTreeSet<String>,
    /// Processes that were started from it or hold a file of it open.
    pub processes: BTreeSet<String>,
}

impl Found {
    /// What is here and was not `before`.
    pub fn beyond(&self, before: &Self) -> Self {
        Self {
            files: &self.files - &before.files,
            mounts: &self.mounts - &before.mounts,
            cgroups: &self.cgroups - &before.cgroups,
            processes: &self.processes - &before.processes,
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Looks. Processes that this one may not read are not seen.
pub fn look(watched: &Watched) -> Found {
    let mut found = Found::default();
    for part in ["jobs", "live", "gone"] {
        files(&watched.directory.join(part), &mut found.files);
    }
    if let (Some(parent), Ok(cgroups)) = (&watched.cgroups, Cgroups::detect()) {
        found.cgroups.extend(cgroups.below(parent).unwrap_or_default());
    }
    let below = watched.directory.to_string_lossy().into_owned();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in entries.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()) {
        let path = process.path();
        let mounts = fs::read_to_string(path.join("mountinfo")).unwrap_or_default();
        for mount in mounts.lines().filter(|line| line.contains(&below)) {
            found.mounts.insert(mount.split(' ').skip(2).collect::<Vec<_>>().join(" "));
        }
        if process.file_name().to_string_lossy() == std::process::id().to_string() {
            continue;
        }
        if let Some(reason) = holds(&path, &below) {
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            found.processes.insert(format!("{} {}: {reason}", path.display(), String::from_utf8_lossy(&command)));
        }
    }
    found
}

/// Takes away what a failed case left, without asking anybody: supervisors, processes, control groups.
pub fn sweep(watched: &Watched) {
    for job in fs::read_dir(watched.directory.join("jobs")).into_iter().flatten().flatten() {
        if let Ok(Some(record)) = read_json::<ShimRecord>(&Files::new(job.path()).shim()) {
            for process in std::iter::once(record.shim).chain(record.init) {
                // What cannot be killed shows up as a leak of the next run.
                let _ = process.kill();
            }
        }
    }
    if let (Some(parent), Ok(cgroups)) = (&watched.cgroups, Cgroups::detect()) {
        for job in cgroups.below(parent).unwrap_or_default() {
            let _ = job.parse().map(|job| cgroups.destroy(&parent.job(job)));
        }
        cgroups.remove_parent(parent);
    }
}

fn files(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        found.insert(entry.path());
    }
}

/// Why a process counts as one of the runtime's, if it does.
fn holds(process: &Path, below: &str) -> Option<String> {
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    if String::from_utf8_lossy(&environment).contains(below) {
        return Some("its environment names the directory".to_owned());
    }
    let descriptors = fs::read_dir(process.join("fd")).ok()?;
    let links =
        descriptors.flatten().map(|entry| entry.path()).chain(["cwd", "root", "exe"].map(|name| process.join(name)));
    links
        .filter_map(|link| fs::read_link(link).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .find(|target| target.contains(below))
}
