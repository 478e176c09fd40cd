use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use crate::archive::{listing, read, read_file};

#[track_caller]
fn run(folder: &Path, script: &str) {
    let output = Command::new("sh").arg("-euc").arg(script).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

/// Long and short names, links of both kinds, an empty folder and an executable.
fn sample(root: &Path) {
    let deep = root.join("deep/".repeat(40));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("n".repeat(200)), "far down").unwrap();
    std::fs::write(root.join("größe"), "umlauts").unwrap();
    std::fs::write(root.join("run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(root.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::hard_link(root.join("run"), root.join("same")).unwrap();
    std::fs::create_dir(root.join("empty")).unwrap();
    symlink("run", root.join("link")).unwrap();
    symlink(format!("deep/{}", "../deep/".repeat(30)), root.join("long-link")).unwrap();
}

#[test]
fn what_tar_programs_write_is_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    sample(&root);
    let mut digests = BTreeMap::new();
    let mut text = Vec::new();
    for (name, options) in [
        ("gnu", "--format=gnu ."),
        ("pax", "--format=pax ."),
        ("pax-times", "--format=posix --pax-option=exthdr.name=%d/x,atime:=1 --mtime=@1.5 ."),
        ("owners", "--owner=nobody:65534 --mode=go-rwx ."),
        ("names", "$(ls -A)"),
        ("reversed", "$(ls -Ar)"),
        ("gzip", "--gzip ."),
    ] {
        run(&root, &format!("tar -cf ../{name}.tar {options}"));
        let tree = read_file(&folder.path().join(format!("{name}.tar")));
        digests.insert(name, tree.digest().unwrap());
        text = listing(&tree);
    }
    let first = digests["gnu"];
    assert!(digests.values().all(|digest| *digest == first), "{digests:#?}");
    for line in ["empty/", "größe umlauts", "link -> run", "run* #!/bin/sh\n", "same* #!/bin/sh\n"] {
        assert!(text.contains(&line.to_owned()), "{line}: {text:#?}");
    }
}

#[test]
fn what_we_write_is_read_by_tar() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    sample(&root);
    run(&root, "tar -cf ../in.tar .");
    let tree = read_file(&folder.path().join("in.tar"));
    std::io::copy(&mut tree.pack(), &mut std::fs::File::create(folder.path().join("out.tar")).unwrap()).unwrap();
    run(folder.path(), "mkdir out; tar -xf out.tar -C out; rm root/same out/same; diff -r --no-dereference root out");
    let listed = Command::new("tar").args(["-tvf", "out.tar", "--full-time"]).current_dir(&folder).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().all(|line| line.contains(" 0/0 ") && line.contains("1980-01-01")), "{listed}");
}

#[test]
fn a_layer_of_an_image_has_its_folder_and_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    sample(&root);
    run(&root, "tar -cf ../in.tar .; tar -cf ../again.tar --owner=nobody:65534 --mtime=@1 $(ls -Ar)");
    let layer = |name: &str| {
        let mut bytes = Vec::new();
        let tree = read_file(&folder.path().join(name));
        let app = flynn_build::source::TreePath::new("app").unwrap();
        std::io::copy(&mut tree.pack_beneath(Some(&app), (1000, 1001)), &mut bytes).unwrap();
        bytes
    };
    assert_eq!(layer("in.tar"), layer("again.tar"));
    std::fs::write(folder.path().join("layer.tar"), layer("in.tar")).unwrap();
    let listed =
        Command::new("tar").args(["-tvf", "layer.tar", "--numeric-owner"]).current_dir(&folder).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().next().unwrap().ends_with(" app/"), "{listed}");
    assert!(listed.lines().all(|line| line.contains(" 1000/1001 ") && line.contains(" app/")), "{listed}");
    run(
        folder.path(),
        "mkdir out; tar --no-same-owner -xf layer.tar; rm root/same app/same; diff -r --no-dereference root app",
    );
}

#[test]
fn git_archive_is_read() {
    let folder = tempfile::tempdir().unwrap();
    run(
        folder.path(),
        "export HOME=/nonexistent; git init -q; mkdir d; echo x > d/f; ln -s d/f l; git add .
         git -c user.name=a -c user.email=a@example.org commit -qm x; git archive -o a.tar.gz HEAD",
    );
    assert_eq!(listing(&read_file(&folder.path().join("a.tar.gz"))), ["d/", "d/f x\n", "l -> d/f"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The digest depends on the content, and on nothing that differs between machines.
    #[test]
    fn the_digest_is_that_of_the_content(
        files in proptest::collection::btree_map("[a-d]{1,3}(/[e-h]{1,3}){0,2}\\.x", (any::<Vec<u8>>(), any::<bool>()), 1..8),
        order in any::<u64>(),
        umask in proptest::sample::select(vec!["000", "022", "077"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut digests = Vec::new();
        for (round, umask) in [(0, "022"), (order, umask)] {
            let root = folder.path().join(format!("root-{round}"));
            std::fs::create_dir(&root).unwrap();
            // Another order of creation is another order of inodes and of folder entries.
            let mut names: Vec<_> = files.iter().collect();
            names.sort_by_key(|(name, _)| name.bytes().fold(round, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)));
            for (name, (content, executable)) in names {
                let path = root.join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, content).unwrap();
                let mode = if *executable { 0o777 } else { 0o666 };
                let mask = u32::from_str_radix(umask, 8).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(mode & !mask)).unwrap();
            }
            run(&root, &format!("umask {umask}; tar -cf ../{round}.tar --sort=none --owner=+{} .", round % 1000));
            let tree = read_file(&folder.path().join(format!("{round}.tar")));
            let mut packed = Vec::new();
            std::io::copy(&mut tree.pack(), &mut packed).unwrap();
            let again = read(&packed).unwrap();
            prop_assert_eq!(again.digest().unwrap(), tree.digest().unwrap(), "packed and read again");
            prop_assert_eq!(listing(&again), listing(&tree));
            digests.push(tree.digest().unwrap());
            if round == order {
                break;
            }
        }
        prop_assert!(digests.iter().all(|digest| *digest == digests[0]));
        let (name, (content, executable)) = files.iter().next().unwrap();
        let other = crate::archive::Archive::default().entry(b'0', name, "", if *executable { 0o755 } else { 0o644 }, &[content.as_slice(), b"!"].concat());
        prop_assert_ne!(read(&other.end()).unwrap().digest().unwrap(), digests[0]);
    }
}
