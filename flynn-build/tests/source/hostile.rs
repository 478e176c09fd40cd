use flynn_build::source::{CaseCollisions, SourceError, SourceTree};

use crate::archive::{Archive, gzip, intake, listing, read};

#[track_caller]
fn refused(archive: Archive, problem: &str) {
    for bytes in [archive.clone().end(), gzip(&archive.end())] {
        match read(&bytes) {
            Ok(tree) => panic!("taken: {:?}", listing(&tree)),
            Err(error) => assert!(error.to_string().contains(problem), "{error}"),
        }
    }
}

#[track_caller]
fn taken(archive: Archive, expect: &[&str]) {
    let tree = read(&archive.end()).unwrap();
    assert_eq!(listing(&tree), expect);
}

fn empty() -> Archive {
    Archive::default()
}

#[test]
fn nothing_leaves_the_root() {
    for path in ["/etc/passwd", "../x", "a/../../x", "a/..", "..", "//x"] {
        refused(empty().file(path, b"x"), "is refused: it");
        refused(empty().pax(&[("path", path)]).file("fine", b"x"), "is refused: it");
        refused(empty().entry(b'L', "long", "", 0, path.as_bytes()).file("fine", b"x"), "is refused: it");
        refused(empty().entry(b'5', path, "", 0o755, b""), "is refused: it");
        refused(empty().file("f", b"x").entry(b'1', "hard", path, 0o644, b""), "is refused: a hard link to");
    }
}

#[test]
fn links_out_of_the_tree_are_named() {
    for target in ["/etc/passwd", "..", "../x", "a/../../x", "./../x"] {
        refused(empty().entry(b'2', "link", target, 0o777, b""), &format!("`link -> {target}` is refused"));
        refused(empty().pax(&[("linkpath", target)]).entry(b'2', "link", "x", 0o777, b""), "`link -> ");
    }
    let through = empty().entry(b'2', "d/up", "..", 0o777, b"").entry(b'2', "e", "d/up/../x", 0o777, b"");
    refused(through, "`e -> d/up/../x` is refused: the symlink leads out");
    taken(empty().entry(b'2', "d/e", "../f", 0o777, b"").file("f", b"x"), &["d/", "d/e -> ../f", "f x"]);
}

#[test]
fn nothing_is_written_through_a_link() {
    let link = || empty().entry(b'2', "link", "d", 0o777, b"");
    refused(link().file("link/x", b"x"), "`link/x` is refused: it lies beneath `link`, which is not a folder");
    refused(link().file("link", b"x"), "`link` is refused: there are two entries of this name");
    refused(link().entry(b'5', "link", "", 0o755, b""), "two entries of this name");
    refused(empty().file("f", b"x").file("f/x", b"x"), "beneath `f`, which is not a folder");
    refused(empty().file("d/x", b"x").entry(b'2', "d", "e", 0o777, b""), "two entries of this name");
}

#[test]
fn special_files_are_refused() {
    for (flag, what) in [(b'3', "a character device"), (b'4', "a block device"), (b'6', "a named pipe")] {
        refused(empty().entry(flag, "dev", "", 0o666, b""), &format!("`dev` is refused: it is {what}"));
    }
    refused(empty().entry(b'S', "sparse", "", 0o644, b""), "a sparse file");
    refused(empty().pax(&[("GNU.sparse.major", "1")]).file("f", b""), "sparse");
    refused(empty().entry(b'Z', "odd", "", 0o644, b""), "entries of type `Z` are not known");
}

#[test]
fn modes_are_reduced_to_executable_or_not() {
    let archive = empty()
        .entry(b'0', "setuid", "", 0o6755, b"x")
        .entry(b'0', "plain", "", 0o666, b"y")
        .entry(b'0', "group", "", 0o655, b"z");
    taken(archive, &["group z", "plain y", "setuid* x"]);
}

#[test]
fn names_are_unique_in_any_case() {
    refused(empty().file("a", b"x").file("a", b"y"), "`a` is refused: there are two entries of this name");
    refused(empty().file("a", b"x").file("./a", b"y"), "two entries of this name");
    let collision = || empty().file("Makefile", b"x").file("makefile", b"y");
    refused(collision(), "`makefile` is refused: it differs from `Makefile` in case alone: rename one");
    refused(empty().file("A/x", b"x").file("a/y", b"y"), "`a` is refused: it differs from `A`");
    let mut lenient = intake();
    lenient.limits.case = CaseCollisions::Accept;
    let tree = SourceTree::from_archive(&*collision().end(), &lenient).unwrap();
    assert_eq!(listing(&tree), ["Makefile x", "makefile y"]);
    taken(empty().entry(b'5', "d/", "", 0o700, b"").entry(b'5', "d", "", 0o755, b""), &["d/"]);
}

#[test]
fn hard_links_are_files_of_the_archive() {
    taken(empty().file("a", b"x").entry(b'1', "b", "./a", 0o644, b""), &["a x", "b x"]);
    refused(empty().entry(b'1', "b", "a", 0o644, b"").file("a", b"x"), "no file that came before it");
    refused(empty().entry(b'2', "l", "a", 0o777, b"").entry(b'1', "b", "l", 0o644, b""), "no file that came before");
}

#[test]
fn limits_are_kept() {
    let mut small = intake();
    small.limits.entries = 3;
    small.limits.file_bytes = 100;
    small.limits.total_bytes = 150;
    let check = |archive: Archive, problem: &str| match SourceTree::from_archive(&*archive.end(), &small) {
        Err(error @ SourceError::TooLarge { .. }) => assert!(error.to_string().contains(problem), "{error}"),
        other => panic!("{other:?}"),
    };
    check(empty().file("a", &[b'x'; 101]), "`a` has 101 bytes, a file may have 100");
    check(empty().file("a", &[b'x'; 100]).file("b", &[b'x'; 51]), "more than 150 bytes together");
    check(empty().file("a", &[b'x'; 100]).entry(b'1', "b", "a", 0o644, b""), "more than 150 bytes together");
    check(empty().file("a", b"").file("b", b"").file("c", b"").file("d", b""), "more than 3 files and folders");
    check(empty().file("a/b/c/d", b""), "more than 3 files and folders");
    // A size that is only claimed is refused before anything is read.
    let mut claim = empty();
    claim.header(b'0', b"huge", b"", 0o644, 0o77777777777);
    check(claim, "`huge` has 8589934591 bytes");
    check(empty().pax(&[("size", "18446744073709551615")]).file("f", b""), "18446744073709551615 bytes");
    check(empty().entry(b'L', "long", "", 0, &[b'a'; 70_000]).file("f", b""), "attributes");
}

#[test]
fn bombs_are_refused_by_their_ratio() {
    let bomb = gzip(&empty().file("zeros", &vec![0; 64 << 20]).end());
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    match read(&bomb) {
        Err(error @ SourceError::TooLarge { .. }) => assert!(error.to_string().contains("200 times"), "{error}"),
        other => panic!("{other:?}"),
    }
    read(&gzip(&empty().file("few zeros", &vec![0; 1 << 20]).end())).unwrap();
}

#[test]
fn other_formats_are_named() {
    for (bytes, name) in [
        (&b"PK\x03\x04rest of a zip"[..], "a zip archive"),
        (b"\x28\xb5\x2f\xfdrest", "zstd"),
        (b"\xfd7zXZ\0rest", "xz"),
        (b"BZh9rest", "bzip2"),
    ] {
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, SourceError::Damaged { .. }) && error.to_string().contains(name), "{error}");
    }
    for bytes in [&b""[..], b"x", &[b'x'; 512], b"\x1f\x8b", b"\x1f\x8bgarbage"] {
        assert!(matches!(read(bytes), Err(SourceError::Damaged { .. })), "{bytes:?}");
    }
}

#[test]
fn names_that_are_not_utf_8_are_refused() {
    let mut archive = empty();
    archive.header(b'0', b"caf\xe9", b"", 0o644, 0);
    refused(archive, "its name is not UTF-8");
}

#[test]
fn what_follows_the_end_is_refused() {
    let mut two = empty().file("a", b"x").end();
    two.extend([0; 512 * 16]);
    assert!(read(&two).is_ok(), "padding is usual");
    two.extend(empty().file("b", b"x").end());
    assert!(read(&two).unwrap_err().to_string().contains("something follows its end"));
    let mut damaged = gzip(&empty().file("a", b"x").end());
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    assert!(matches!(read(&damaged), Err(SourceError::Damaged { .. })), "the checksum of gzip is compared");
}
