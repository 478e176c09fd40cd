use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::Mode;
use rustix::process::umask;

use crate::archive::{Archive, read};

#[test]
fn modes_and_times_do_not_depend_on_the_machine() {
    let archive = Archive::default()
        .entry(b'0', "d/run", "", 0o4711, b"x")
        .entry(b'0', "text", "", 0o600, b"y")
        .entry(b'2', "link", "d/run", 0o777, b"");
    let tree = read(&archive.end()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let old = umask(Mode::from_raw_mode(0o077));
    let outcome = tree.unpack(folder.path());
    umask(old);
    outcome.unwrap();
    for (path, mode) in [("d", 0o755), ("d/run", 0o755), ("text", 0o644)] {
        let metadata = folder.path().join(path).metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
        assert_eq!(metadata.mtime(), 315_532_801, "{path}");
    }
    assert_eq!(std::fs::read_link(folder.path().join("link")).unwrap().to_str(), Some("d/run"));
    assert!(tree.unpack(folder.path()).unwrap_err().to_string().contains("an empty folder only"));
}
