//! Whether a snapshot is mounted, in whatever mount namespace.

use std::collections::BTreeSet;
use std::{fs, io};

use flynn_core::port::SnapshotKey;

/// Looks through the mounts of all processes, each namespace once. Containers are mounted where only their
/// own processes see it.
pub(super) fn is_mounted(key: &SnapshotKey) -> io::Result<bool> {
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let is_process = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).is_some();
        if !is_process {
            continue;
        }
        // Processes that end meanwhile hold nothing.
        let Ok(namespace) = fs::read_link(path.join("ns/mnt")) else {
            continue;
        };
        if seen.insert(namespace) && fs::read_to_string(path.join("mountinfo")).is_ok_and(|text| names(&text, key)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a list of mounts has one that is made from the snapshot: the key stands in the options of an
/// overlay, and in the root of a bind mount. As a mount point it counts as well.
fn names(mountinfo: &str, SnapshotKey(key): &SnapshotKey) -> bool {
    mountinfo.contains(key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlays_and_bind_mounts_are_found() {
        let key = SnapshotKey("0123456789abcdef0123456789abcdef".to_owned());
        let overlay =
            "400 380 0:50 / / rw - overlay overlay rw,lowerdir=0,upperdir=/d/snapshots/KEY/layer/fs,workdir=w";
        let bind = "401 380 254:0 /d/snapshots/KEY/layer/fs /x rw - ext4 /dev/vda rw";
        for line in [overlay, bind] {
            assert!(names(&line.replace("KEY", &key.0), &key));
            assert!(!names(&line.replace("KEY", &"f".repeat(32)), &key));
        }
        assert!(!is_mounted(&key).unwrap());
    }
}
