use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A small file system in memory, for as long as the test runs.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    pub(crate) fn new(options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "flynn-small-disk"]).arg(directory.path()));
        let disk = Self(directory);
        assert!(disk.is_mounted());
        disk
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn is_mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.contains(self.path().to_str().unwrap())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.path()));
        assert!(!self.is_mounted());
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?} (the test needs root): {status}");
}
