//! The root file system of a container, mounted where only its shim sees it.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use flynn_runtime::shim::RootMount;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change};
use rustix::thread::UnshareFlags;

/// Leaves the mount namespace of the node. What is mounted from now on ends with this process and its
/// containers, however they end; what the node unmounts is unmounted here too.
pub(crate) fn leave() -> io::Result<()> {
    // SAFETY: this process has one thread, and no descriptor table is shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    Ok(mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
}

/// Mounts `root` on a directory below `scratch`, which it gives back.
pub(crate) fn assemble(root: &RootMount, scratch: &Path) -> io::Result<PathBuf> {
    let target = scratch.join("root");
    std::fs::create_dir_all(&target)?;
    match root {
        RootMount::Writable(directory) => mount_bind_recursive(directory, &target)?,
        RootMount::ReadOnly(directory) => {
            let memory = scratch.join("memory");
            std::fs::create_dir_all(&memory)?;
            // Only mount points are made here.
            mount("tmpfs", &memory, "tmpfs", MountFlags::NODEV, Some(c"size=1m,mode=0700"))?;
            let (upper, work) = (memory.join("upper"), memory.join("work"));
            std::fs::create_dir(&upper)?;
            std::fs::create_dir(&work)?;
            copy_mode(directory, &upper)?;
            overlay(std::slice::from_ref(directory), &upper, &work, &target)?;
        }
        RootMount::Overlay { lower, upper, work } => overlay(lower, upper, work, &target)?,
    }
    Ok(target)
}

/// The root of an overlay looks like its upper directory.
fn copy_mode(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())
}

fn overlay(lower: &[PathBuf], upper: &Path, work: &Path, target: &Path) -> io::Result<()> {
    // One page holds all options, so layers are named from the directory that most of them share.
    let base = lower.first().and_then(|path| path.parent()).unwrap_or(Path::new("/"));
    std::env::set_current_dir(base)?;
    let mut options = b"lowerdir=".to_vec();
    for (index, path) in lower.iter().rev().enumerate() {
        if index > 0 {
            options.push(b':');
        }
        escape(path.strip_prefix(base).unwrap_or(path), &mut options);
    }
    for (name, path) in [(",upperdir=", upper), (",workdir=", work)] {
        options.extend_from_slice(name.as_bytes());
        escape(path, &mut options);
    }
    // Whatever the kernel's defaults are, what is written can be understood without what is below it, and no
    // layer leads into another.
    options.extend_from_slice(b",index=off,metacopy=off,redirect_dir=nofollow");
    let options = CString::new(options)?;
    let mounted = mount("overlay", target, "overlay", MountFlags::NODEV, Some(options.as_c_str()));
    std::env::set_current_dir("/")?;
    Ok(mounted?)
}

/// Overlay's options give a meaning to these characters.
fn escape(path: &Path, options: &mut Vec<u8>) {
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            options.push(b'\\');
        }
        options.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_with_a_meaning_are_escaped() {
        let mut options = Vec::new();
        escape(Path::new("/a:b,c\\d e"), &mut options);
        assert_eq!(options, b"/a\\:b\\,c\\\\d e");
    }
}
