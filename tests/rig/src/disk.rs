use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate};

/// A file system of its own for the data of a rig, which a test fills and frees. What fills it takes no real space.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// A file system of `bytes` in the file `image`, mounted at `at`, which is made.
    pub(crate) fn mount(image: &Path, at: PathBuf, bytes: u64) -> Self {
        File::create_new(image).unwrap().set_len(bytes).unwrap();
        fs::create_dir(&at).unwrap();
        // Neither the file system nor the kernel writes more than a test does.
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-i", "32768", "-J", "size=16"]).arg(image));
        run(Command::new("mount").args(["-o", "loop,noinit_itable"]).arg(image).arg(&at));
        Self { at }
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Takes all that is left of it.
    pub fn fill(&self) {
        let file = OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        let mut length = file.metadata().unwrap().len();
        let mut before = None;
        // What was deleted is free once that has been written.
        while before != Some(length) {
            before = Some(length);
            rustix::fs::syncfs(&file).unwrap();
            let mut step = 1 << 30;
            while step >= 4_096 {
                match fallocate(&file, FallocateFlags::empty(), length, step) {
                    Ok(()) => length += step,
                    Err(rustix::io::Errno::NOSPC) => step /= 2,
                    Err(error) => panic!("{} cannot be filled: {error}", self.at.display()),
                }
            }
        }
    }

    /// Takes all but about so many bytes of it.
    pub fn fill_but(&self, bytes: u64) {
        let file = OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        let space = rustix::fs::statvfs(&self.at).unwrap();
        let length = (space.f_bavail * space.f_frsize).checked_sub(bytes).expect("less is left already");
        fallocate(&file, FallocateFlags::empty(), 0, length).unwrap();
    }

    /// Gives back what was taken.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    pub(crate) fn unmount(self) {
        run(Command::new("umount").arg(&self.at));
        std::mem::forget(self);
    }
}

impl Drop for SmallDisk {
    /// After a failure, whoever still has files open there loses nothing that counts.
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
