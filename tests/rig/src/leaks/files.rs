use std::fs;
use std::path::Path;

use flynn_instance::Layout;

/// Folders of the node that have one entry a job, or none when no build is under way.
const OF_JOBS: [&str; 14] = [
    "containers/jobs",
    "containers/live",
    "containers/gone",
    "network/leases",
    "jobs",
    "images/snapshots",
    "images/incoming",
    "images/gone",
    "build/containers/jobs",
    "build/containers/live",
    "build/containers/gone",
    "build/network/leases",
    "build/sandboxes/sandboxes",
    "build/sandboxes/scratch",
];

/// What has content of others, whatever it is called.
const CONTENT: [&str; 4] = ["node/images/layers", "node/images/snapshots", "node/build/sandboxes", "blobs/sha256"];

pub(super) fn of_jobs(layout: &Layout) -> Vec<String> {
    let entries = |folder: &str| {
        let entries = fs::read_dir(layout.node().join(folder)).into_iter().flatten().flatten();
        entries.map(|entry| format!("{folder}: {}", entry.path().display())).collect::<Vec<_>>()
    };
    OF_JOBS.iter().flat_map(|folder| entries(folder)).collect()
}

/// Files on their way to somewhere, when nothing is on its way.
pub(super) fn temporary(layout: &Layout) -> Vec<String> {
    let mut found = Vec::new();
    for folder in [layout.blobs().join("incoming"), layout.spool(), layout.node().join("build/spool")] {
        found.extend(fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    search(layout.data(), layout.data(), &mut found);
    found.into_iter().map(|path| format!("temporary file {}", path.display())).collect()
}

fn search(data: &Path, folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let of_git = name.starts_with("tmp_") || name.starts_with("incoming-");
        // A shim keeps room for the last that it writes. The folder of a job is looked for by itself.
        if name == "exit.tmp" {
            continue;
        }
        if of_git || [".tmp", ".fresh"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && !CONTENT.iter().any(|content| path == data.join(content))
        {
            search(data, &path, found);
        }
    }
}
