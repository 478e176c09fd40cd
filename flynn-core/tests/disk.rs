//! What trees of files take, on real file systems.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use flynn_core::disk::{Bounds, DiskUse};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn used(root: &Path) -> DiskUse {
    DiskUse::of(root, Bounds::default()).unwrap()
}

fn write(path: &Path, bytes: u64) {
    fs::write(path, vec![1; bytes.try_into().unwrap()]).unwrap();
    // Some file systems choose the blocks when they write them.
    File::open(path).unwrap().sync_all().unwrap();
}

#[test]
fn blocks_are_counted_and_not_lengths() {
    let folder = tempfile::tempdir().unwrap();
    let empty = used(folder.path());
    assert_eq!((empty.entries, empty.is_cut), (1, false));
    File::create(folder.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
    let sparse = used(folder.path()).since(empty);
    assert!(sparse.bytes < MIB && sparse.entries == 1, "{sparse:?}");
    write(&folder.path().join("full"), MIB);
    let full = used(folder.path()).since(empty);
    assert!((MIB..2 * MIB).contains(&full.bytes), "{full:?}");
}

#[test]
fn a_file_with_many_names_is_one_and_links_are_not_followed() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&folder.path().join("file"), MIB);
    let before = used(folder.path());
    for name in 0..100 {
        fs::hard_link(folder.path().join("file"), folder.path().join(format!("name-{name}"))).unwrap();
    }
    let linked = used(folder.path()).since(before);
    assert!(linked.bytes < 64 * KIB && linked.entries == 0, "{linked:?}");
    write(&elsewhere.path().join("large"), MIB);
    symlink(elsewhere.path(), folder.path().join("there")).unwrap();
    symlink(folder.path(), folder.path().join("itself")).unwrap();
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    let after = used(folder.path()).since(before);
    assert!(after.bytes < 64 * KIB && after.entries == 3, "{after:?}");
}

#[test]
fn files_without_blocks_are_not_free() {
    let folder = tempfile::tempdir().unwrap();
    let before = used(folder.path());
    for name in 0..1_000 {
        File::create(folder.path().join(name.to_string())).unwrap();
    }
    let many = used(folder.path()).since(before);
    assert!(many.entries == 1_000 && many.bytes >= 1_000 * KIB, "{many:?}");
}

#[test]
fn the_worst_tree_is_measured_as_far_as_the_bounds_go() {
    let folder = tempfile::tempdir().unwrap();
    for name in 0..50 {
        File::create(folder.path().join(name.to_string())).unwrap();
    }
    let few = DiskUse::of(folder.path(), Bounds { entries: 10, depth: 8 }).unwrap();
    assert_eq!((few.entries, few.is_cut), (10, true));

    // Deeper than any path: directories are made and entered one by one.
    let deep = tempfile::tempdir().unwrap();
    let mut at = rustix::fs::open(deep.path(), rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    for _ in 0..2_000 {
        rustix::fs::mkdirat(&at, "directory", rustix::fs::Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, "directory", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    }
    drop(at);
    let cut = used(deep.path());
    assert_eq!((cut.entries, cut.is_cut), (257, true));
}

#[test]
fn other_file_systems_beneath_are_not_entered() {
    // Of processes and of the kernel there are many files, none of them on the disk of the root.
    let proc = used(Path::new("/proc/self/task"));
    assert!(proc.entries > 1);
    let folder = tempfile::tempdir().unwrap();
    let mounted = folder.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let before = used(folder.path());
    let mount = |arguments: &[&str]| std::process::Command::new(arguments[0]).args(&arguments[1..]).status().unwrap();
    let place = mounted.to_str().unwrap();
    assert!(mount(&["mount", "-t", "tmpfs", "flynn-disk-test", place]).success(), "the test needs root");
    write(&mounted.join("file"), MIB);
    let beneath = used(folder.path());
    assert!(mount(&["umount", place]).success());
    assert!(beneath.bytes < before.bytes + 64 * KIB, "{beneath:?}");
}
