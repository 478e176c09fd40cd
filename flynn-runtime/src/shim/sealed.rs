use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create, sendfile};

/// A copy of a program in memory that nobody can write to, also not who gets hold of it from within a container
/// (CVE-2019-5736). It has what is loaded to run the program, and not what a debugger reads.
///
/// # Errors
/// The program cannot be read, or there is no memory for it.
pub fn sealed_copy(program: &File, name: &str) -> io::Result<File> {
    let copy = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    let length = loaded_length(program)?;
    let mut offset = 0;
    while offset < length {
        let left = usize::try_from(length - offset).map_err(io::Error::other)?;
        if sendfile(&copy, program, Some(&mut offset), left)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    fcntl_add_seals(&copy, seals())?;
    Ok(copy)
}

/// Whether a file is such a copy.
pub fn is_sealed(program: &File) -> bool {
    // A file on a disk has no seals, and says that it cannot have any.
    fcntl_get_seals(program).is_ok_and(|found| found.contains(seals()))
}

fn seals() -> SealFlags {
    SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL
}

/// Where the last part ends that the kernel or the linker loads. All of the file, if it is no program for this machine.
fn loaded_length(program: &File) -> io::Result<u64> {
    let whole = program.metadata()?.len();
    let mut header = [0; 64];
    let is_program = program.read_exact_at(&mut header, 0).is_ok() && header.starts_with(b"\x7fELF\x02\x01\x01");
    if !is_program {
        return Ok(whole);
    }
    let (table, size, count) = (long(&header, 32), u64::from(short(&header, 54)), u64::from(short(&header, 56)));
    let mut end = table.saturating_add(size * count);
    for index in 0..count {
        let mut segment = [0; 56];
        program.read_exact_at(&mut segment, table + size * index)?;
        end = end.max(long(&segment, 8).saturating_add(long(&segment, 32)));
    }
    Ok(end.min(whole))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn short(bytes: &[u8], at: usize) -> u16 {
    bytes[at..].iter().take(2).rev().fold(0, |value, byte| value << 8 | u16::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_copy_runs_and_cannot_be_changed() {
        let original = File::open("/bin/busybox").unwrap();
        let mut copy = sealed_copy(&original, "busybox").unwrap();
        let length = copy.metadata().unwrap().len();
        assert!(length > 4_096 && length <= original.metadata().unwrap().len(), "{length}");
        assert!(is_sealed(&copy) && !is_sealed(&original));
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        assert!(Command::new(&path).arg0("busybox").arg("true").status().unwrap().success());
        assert!(copy.write_all(b"x").is_err());
        assert!(File::options().write(true).open(path).and_then(|mut file| file.write_all(b"x")).is_err());
    }

    #[test]
    fn a_program_is_copied_without_what_is_not_loaded() {
        let mut program = tempfile::tempfile().unwrap();
        let busybox = std::fs::read("/bin/busybox").unwrap();
        program.write_all(&busybox).unwrap();
        let before = loaded_length(&program).unwrap();
        program.write_all(&[0; 1 << 20]).unwrap();
        assert_eq!(loaded_length(&program).unwrap(), before);
        let mut other = tempfile::tempfile().unwrap();
        other.write_all(b"#!/bin/sh\n").unwrap();
        assert_eq!(loaded_length(&other).unwrap(), 10);
    }
}
