use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs of the base image.
const PROGRAMS: [&str; 8] = ["sh", "httpd", "sleep", "echo", "cat", "env", "true", "id"];

/// A base image of one program, busybox, as an archive in `folder`.
pub fn base_archive(folder: &Path) -> PathBuf {
    let (root, archive) = (folder.join("base"), folder.join("base.tar"));
    for path in ["bin", "etc/ssl/certs", "tmp", "proc", "sys", "dev", "app", "usr/bin"] {
        fs::create_dir_all(root.join(path)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("install busybox-static");
    for program in PROGRAMS {
        symlink("busybox", root.join("bin").join(program)).unwrap();
    }
    let users = "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/app:/bin/sh\n";
    fs::write(root.join("etc/passwd"), users).unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\napp:x:1000:\n").unwrap();
    for file in ["resolv.conf", "hosts", "hostname", "ssl/certs/ca-certificates.crt"] {
        fs::write(root.join("etc").join(file), "").unwrap();
    }
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--format=ustar").arg("--owner=0").arg("--group=0").arg("--directory").arg(&root);
    assert!(tar.arg("--file").arg(&archive).arg(".").status().unwrap().success());
    fs::remove_dir_all(&root).unwrap();
    archive
}
