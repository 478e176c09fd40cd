//! Layers as they are packed and unpacked, and archives that mean harm.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::entry::{Entry, EntryKind};
use super::pack::describe;
use super::write::ArchiveWriter;
use super::*;

const RULES: Rules = Rules {
    limits: LayerLimits { entries: 1_000, bytes: 1 << 20 },
    setuid: Setuid::Keep,
    marks: Marks::Trusted,
    owners: true,
};

fn entry(path: &str, kind: EntryKind) -> Entry {
    let mode = if kind == EntryKind::Directory { 0o755 } else { 0o644 };
    Entry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: 7, xattrs: BTreeMap::new() }
}

fn directory(path: &str) -> (Entry, &'static str) {
    (entry(path, EntryKind::Directory), "")
}

fn file(path: &str, content: &'static str) -> (Entry, &'static str) {
    (entry(path, EntryKind::File(content.len() as u64)), content)
}

fn link(path: &str, target: &str) -> (Entry, &'static str) {
    (entry(path, EntryKind::Symlink(target.into())), "")
}

fn hard(path: &str, target: &str) -> (Entry, &'static str) {
    (entry(path, EntryKind::HardLink(target.into())), "")
}

fn archive(entries: &[(Entry, &'static str)]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    for (entry, content) in entries {
        match entry.kind {
            EntryKind::File(bytes) => writer.file(entry, bytes, content.as_bytes(), Path::new("")).unwrap(),
            _ => writer.empty(entry).unwrap(),
        }
    }
    writer.finish().unwrap()
}

/// A directory to unpack in, with something beside it that must never change.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let ground = Self(TempDir::new().unwrap());
        fs::create_dir(ground.layer()).unwrap();
        fs::create_dir(ground.0.path().join("beside")).unwrap();
        fs::write(ground.0.path().join("beside/file"), "untouched").unwrap();
        ground
    }

    fn layer(&self) -> std::path::PathBuf {
        self.0.path().join("layer")
    }

    fn apply(&self, entries: &[(Entry, &'static str)]) -> Result<Applied, LayerError> {
        self.apply_with(entries, RULES)
    }

    fn apply_with(&self, entries: &[(Entry, &'static str)], rules: Rules) -> Result<Applied, LayerError> {
        let beside = self.0.path().join("beside");
        let before = describe(&beside, Marks::Trusted);
        let applied = apply(&archive(entries)[..], &self.layer(), rules);
        assert_eq!(describe(&beside, Marks::Trusted), before);
        applied
    }

    fn refused(entries: &[(Entry, &'static str)], part: &str) {
        let refused = Self::new().apply(entries).unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    }

    fn names(&self) -> Vec<String> {
        let all = describe(&self.layer(), Marks::Trusted);
        all.keys().skip(1).map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.layer().join(path)).unwrap()
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["../beside/file", "a/../../beside/file", "/../beside/file", "a/..", "..", ".wh...", "d/.wh..", ".wh."]
    {
        assert!(Ground::new().apply(&[file(path, "evil")]).is_err(), "{path}");
    }
    Ground::refused(&[hard("a", "../beside/file")], "`..`");
    Ground::refused(&[file("a", "x"), hard("b", "c")], "not in the layer");
    Ground::refused(&[hard("b", "c/d")], "not in the layer");
    Ground::refused(&[directory("d"), hard("b", "d")], "no file");
    Ground::refused(&[hard("b", "/")], "the root");
}

#[test]
fn an_absolute_path_begins_at_the_root_of_the_layer() {
    let ground = Ground::new();
    ground.apply(&[file("/etc/passwd", "mine"), file("./a//b", "x")]).unwrap();
    assert_eq!(ground.read("etc/passwd"), "mine");
    assert_eq!(ground.names(), ["a", "a/b", "etc", "etc/passwd"]);
}

/// A symlink leads where it would lead a process in a container, and never out of it.
#[test]
fn symlinks_are_followed_beneath_the_root_only() {
    let ground = Ground::new();
    let beside = ground.0.path().join("beside");
    let beside = beside.to_str().unwrap();
    let entries =
        [directory("run"), link("abs", "/run"), link("up", "../../../run"), file("abs/a", "1"), file("up/b", "2")];
    ground.apply(&entries).unwrap();
    assert_eq!((ground.read("run/a").as_str(), ground.read("run/b").as_str()), ("1", "2"));

    for target in [beside, "../beside"] {
        let refused = Ground::new().apply(&[link("evil", target), file("evil/file", "evil")]).unwrap_err();
        assert!(refused.to_string().contains("no directory"), "{refused}");
        assert!(Ground::new().apply(&[link("evil", target), hard("x", "evil/file")]).is_err());
        assert!(Ground::new().apply(&[link("evil", target), file("evil/.wh.file", "")]).is_err());
        assert!(Ground::new().apply(&[link("evil", target), file("evil/.wh..wh..opq", "")]).is_err());
    }
    Ground::refused(&[link("a", "b"), link("b", "a"), file("a/x", "")], "circle");
    Ground::refused(&[file("a", ""), file("a/x", "")], "no directory");
    Ground::refused(&[link("a", "")], "no path");
}

/// A file takes the place of a symlink and is not written through it.
#[test]
fn later_entries_replace_earlier_ones() {
    let ground = Ground::new();
    let beside = ground.0.path().join("beside/file");
    let mut first = file("kept", "1");
    first.0.mode = 0o600;
    let entries = [
        link("a", beside.to_str().unwrap()),
        file("a", "mine"),
        first,
        hard("other", "kept"),
        file("kept", "2"),
        directory("d"),
        file("d/inside", "x"),
        directory("d"),
        directory("e"),
        file("e/gone", "x"),
        file("e", "a file"),
        file("f", "x"),
        directory("f"),
        hard("kept", "kept"),
    ];
    ground.apply(&entries).unwrap();
    assert_eq!(ground.names(), ["a", "d", "d/inside", "e", "f", "kept", "other"]);
    assert_eq!(
        (ground.read("a").as_str(), ground.read("kept").as_str(), ground.read("other").as_str()),
        ("mine", "2", "1")
    );
    assert_eq!(ground.read("e"), "a file");
    Ground::refused(&[directory("d"), file("d/a", "x"), hard("d", "d/a")], "replace");
}

#[test]
fn what_no_layer_may_bring_is_refused() {
    Ground::refused(&[(entry("dev/null", EntryKind::Device), "")], "device node");
    Ground::refused(&[file("", "x")], "the root");
    Ground::refused(&[file(&"a".repeat(256), "x")], "too long");
    Ground::refused(&[file(&"a/".repeat(300), "x")], "too long or too deep");
    // By a symlink a path becomes deeper than it is written.
    let deep = "a/".repeat(200);
    Ground::refused(&[directory(&deep), link("s", &deep), file(&format!("s/{deep}x"), "x")], "too deep");
}

#[test]
fn limits_hold_before_anything_is_written() {
    let limits = LayerLimits { entries: 3, bytes: 10 };
    let check = |entries: &[(Entry, &'static str)]| {
        let ground = Ground::new();
        ground.apply_with(entries, Rules { limits, ..RULES })
    };
    assert!(check(&[file("a", "12345"), file("b", "12345")]).is_ok());
    assert!(matches!(check(&[file("a", "12345"), file("b", "123456")]), Err(LayerError::TooLarge(_))));
    assert!(matches!(
        check(&[file("a", ""), file("b", ""), file("c", ""), file("d", "")]),
        Err(LayerError::TooLarge(_))
    ));
    // A header that promises more than there is.
    let mut cut = archive(&[file("a", "12345")]);
    cut.truncate(600);
    let ground = Ground::new();
    assert!(matches!(apply(&cut[..], &ground.layer(), RULES), Err(LayerError::Damaged(_))));
    let huge = entry("a", EntryKind::File(u64::MAX));
    assert!(check(&[directory("x"), file("y", "")]).is_ok());
    let mut writer = ArchiveWriter::new(Vec::new());
    writer.empty(&huge).unwrap();
    let huge = writer.finish().unwrap();
    assert!(matches!(apply(&huge[..], &Ground::new().layer(), RULES), Err(LayerError::TooLarge(_))));
}

#[test]
fn whiteouts_become_marks_of_overlay_file_systems() {
    let ground = Ground::new();
    let entries = [
        file(".wh.gone", ""),
        directory("d"),
        file("d/.wh..wh..opq", ""),
        file("d/kept", "x"),
        file(".wh..wh.plnk", ""),
        file("f", "mine"),
        file(".wh.f", ""),
        directory("e"),
        file(".wh.e", ""),
        file(".wh.g", ""),
        directory("g"),
    ];
    ground.apply(&entries).unwrap();
    assert_eq!(ground.names(), ["d", "d/kept", "e", "f", "g", "gone"]);
    let gone = fs::symlink_metadata(ground.layer().join("gone")).unwrap();
    assert_eq!((gone.mode() & 0o170_000, gone.rdev()), (0o020_000, 0));
    for (name, opaque) in [("d", true), ("e", true), ("g", true)] {
        assert_eq!(Marks::Trusted.hides_lower(&ground.layer().join(name)).unwrap(), opaque, "{name}");
    }
    // A file of the layer itself is not what it takes away.
    assert_eq!(ground.read("f"), "mine");
}

/// Without root, marks are of another kind, and owners are left as they are.
#[test]
fn an_ordinary_user_unpacks_too() {
    let ground = Ground::new();
    let mut owned = file("d/a", "x");
    (owned.0.uid, owned.0.gid) = (5, 6);
    let rules = Rules { marks: Marks::User, owners: false, ..RULES };
    ground.apply_with(&[directory("d"), file("d/.wh..wh..opq", ""), owned], rules).unwrap();
    assert!(Marks::User.hides_lower(&ground.layer().join("d")).unwrap());
    assert!(!Marks::Trusted.hides_lower(&ground.layer().join("d")).unwrap());
    assert_eq!(fs::metadata(ground.layer().join("d/a")).unwrap().uid(), fs::metadata(ground.layer()).unwrap().uid());
}

#[test]
fn attributes_are_kept_but_for_marks_of_overlay_file_systems() {
    let ground = Ground::new();
    let mut plain = file("a", "x");
    plain.0.mode = 0o6755;
    (plain.0.uid, plain.0.gid) = (1_234, 5_678);
    let capability = [1_u8, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (name, value) in [
        ("user.k", &b"v"[..]),
        ("security.capability", &capability),
        ("trusted.overlay.redirect", b"/../../beside"),
        ("user.overlay.opaque", b"y"),
        ("trusted.other", b"x"),
        ("security.selinux", b"x"),
    ] {
        plain.0.xattrs.insert(name.into(), value.to_vec());
    }
    let mut closed = directory("closed");
    closed.0.mode = 0o1500;
    let entries = [plain.clone(), closed, file("closed/in", "x")];
    ground.apply(&entries).unwrap();
    let metadata = fs::metadata(ground.layer().join("a")).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid(), metadata.mtime()), (0o6755, 1_234, 5_678, 7));
    let kept = xattr::carried(&ground.layer().join("a")).unwrap();
    assert_eq!(
        kept.keys().map(|name| std::str::from_utf8(name).unwrap()).collect::<Vec<_>>(),
        ["security.capability", "user.k"]
    );
    let closed = fs::metadata(ground.layer().join("closed")).unwrap();
    assert_eq!((closed.mode() & 0o7777, closed.mtime()), (0o1500, 7));

    let ground = Ground::new();
    ground.apply_with(&[plain], Rules { setuid: Setuid::Clear, ..RULES }).unwrap();
    assert_eq!(fs::metadata(ground.layer().join("a")).unwrap().mode() & 0o7777, 0o755);
}

/// What a file of a random tree is.
#[derive(Debug, Clone)]
enum What {
    File(Vec<u8>),
    Directory {
        opaque: bool,
    },
    Symlink(String),
    Whiteout,
    Fifo,
    /// A further name of an earlier file.
    Link(prop::sample::Index),
}

#[derive(Debug, Clone)]
struct Node {
    parent: prop::sample::Index,
    name: String,
    what: What,
    mode: u32,
    owner: (u32, u32),
    mtime: i64,
    xattr: Option<Vec<u8>>,
}

fn node() -> impl Strategy<Value = Node> {
    let what = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..700).prop_map(What::File),
        4 => any::<bool>().prop_map(|opaque| What::Directory { opaque }),
        1 => "[a-z/.]{1,120}".prop_map(What::Symlink),
        1 => Just(What::Whiteout),
        1 => Just(What::Fifo),
        1 => any::<prop::sample::Index>().prop_map(What::Link),
    ];
    let name = prop_oneof![6 => "[a-d]{1,2}", 1 => "[a-z]{120}", 1 => "[ä-ü ]{1,9}"];
    let (owner, xattr) = ((0_u32..3, 0_u32..3_000_000), prop::option::of(prop::collection::vec(any::<u8>(), 0..40)));
    (any::<prop::sample::Index>(), name, what, 0_u32..0o10000, owner, 0_i64..1 << 33, xattr).prop_map(
        |(parent, name, what, mode, owner, mtime, xattr)| Node { parent, name, what, mode, owner, mtime, xattr },
    )
}

/// The tree as paths: parents before what is in them, no name twice.
fn plan(nodes: &[Node]) -> Vec<(String, Node, Option<String>)> {
    let (mut planned, mut directories, mut files) = (Vec::new(), vec![String::new()], Vec::new());
    let mut taken = std::collections::BTreeSet::new();
    for node in nodes {
        let path = format!("{}{}", node.parent.get(&directories), node.name);
        if !taken.insert(path.clone()) {
            continue;
        }
        let mut target = None;
        match &node.what {
            What::Directory { .. } => directories.push(format!("{path}/")),
            What::File(_) => files.push(path.clone()),
            What::Link(_) if files.is_empty() => continue,
            What::Link(index) => target = Some(index.get(&files).clone()),
            _ => {}
        }
        planned.push((path, node.clone(), target));
    }
    planned
}

/// Builds a tree in the given order; times come last, as everything that is made changes some.
fn build(root: &Path, planned: &[(String, Node, Option<String>)]) {
    for (path, node, target) in planned {
        let place = root.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        match (&node.what, target) {
            (What::File(content), _) => fs::write(&place, content).unwrap(),
            (What::Directory { opaque }, _) => {
                fs::create_dir_all(&place).unwrap();
                if *opaque {
                    Marks::Trusted.hide_lower(&place).unwrap();
                }
            }
            (What::Symlink(target), _) => symlink(target, &place).unwrap(),
            (What::Whiteout, _) => {
                let kind = rustix::fs::FileType::CharacterDevice;
                rustix::fs::mknodat(rustix::fs::CWD, &place, kind, rustix::fs::Mode::empty(), 0).unwrap();
            }
            (What::Fifo, _) => {
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, &place, kind, rustix::fs::Mode::empty(), 0).unwrap();
            }
            (What::Link(_), Some(target)) => {
                let target = root.join(target);
                if !target.exists() {
                    fs::create_dir_all(target.parent().unwrap()).unwrap();
                    fs::write(&target, "").unwrap();
                }
                fs::hard_link(target, &place).unwrap();
            }
            (What::Link(_), None) => unreachable!(),
        }
    }
    let mut planned = planned.to_vec();
    planned.sort_by(|(one, ..), (other, ..)| other.cmp(one));
    for (path, node, _) in &planned {
        let place = root.join(path);
        if matches!(node.what, What::Link(_) | What::Whiteout) {
            continue;
        }
        std::os::unix::fs::lchown(&place, Some(node.owner.0), Some(node.owner.1)).unwrap();
        if !matches!(node.what, What::Symlink(_)) {
            fs::set_permissions(&place, Permissions::from_mode(node.mode)).unwrap();
        }
        if let (Some(value), What::File(_) | What::Directory { .. }) = (&node.xattr, &node.what) {
            xattr::set(&place, &[(b"user.x".to_vec(), value.clone())].into()).unwrap();
        }
        let mut times = apply::times(node.mtime.unsigned_abs());
        times.last_modification.tv_nsec = 123_456_789;
        rustix::fs::utimensat(rustix::fs::CWD, &place, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn packed(root: &Path, times: LayerTimes) -> Vec<u8> {
    pack(root, Vec::new(), Packing { times, limits: LayerLimits::default(), marks: Marks::Trusted }).unwrap().1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// In whatever order a tree is made, it is the same layer, and unpacking that makes the same tree.
    #[test]
    fn the_same_tree_is_the_same_layer(nodes in prop::collection::vec(node(), 0..24), seed: u64) {
        let (one, other, third) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
        let planned = plan(&nodes);
        build(one.path(), &planned);
        // Another order: what is in a directory may come before its siblings, and files before their links.
        let mut shuffled = planned.clone();
        shuffled.sort_by_key(|(path, node, _)| {
            let mix = path.bytes().fold(seed, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            (matches!(node.what, What::Link(_)), mix)
        });
        // What a directory holds may be made before it is; then it is there already.
        build(other.path(), &shuffled);
        for root in [one.path(), other.path(), third.path()] {
            fs::set_permissions(root, Permissions::from_mode(0o751)).unwrap();
            chown(root, Some(1), Some(2)).unwrap();
        }

        let layer = packed(one.path(), LayerTimes::Kept);
        prop_assert!(layer == packed(other.path(), LayerTimes::Kept));
        prop_assert!(layer == packed(one.path(), LayerTimes::Kept), "packing again gives the same");
        let rules = Rules { limits: LayerLimits::default(), ..RULES };
        let applied = apply(&layer[..], third.path(), rules).unwrap();
        prop_assert!(applied.has_root);
        prop_assert_eq!(describe(third.path(), Marks::Trusted), describe(one.path(), Marks::Trusted));
        prop_assert!(layer == packed(third.path(), LayerTimes::Kept));
        let fixed = LayerTimes::Fixed(Timestamp::from_millis(5_000));
        let layer = packed(one.path(), fixed);
        prop_assert!(layer == packed(third.path(), fixed));
    }
}

#[test]
fn what_no_layer_can_say_is_not_packed() {
    let check = |make: &dyn Fn(&Path), part: &str| {
        let root = TempDir::new().unwrap();
        make(root.path());
        let packing =
            Packing { times: LayerTimes::Kept, limits: LayerLimits { entries: 9, bytes: 9 }, marks: Marks::Trusted };
        let refused = pack(root.path(), Vec::new(), packing).unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    };
    check(&|root| fs::write(root.join(".wh.x"), "").unwrap(), "takes a file away");
    check(&|root| fs::create_dir(root.join(".wh.x")).unwrap(), "takes a file away");
    check(&|root| fs::write(root.join("x"), "1234567890").unwrap(), "more than 9 bytes");
    check(&|root| (0..9).for_each(|name| fs::write(root.join(name.to_string()), "").unwrap()), "more than 9 entries");
    let device = |root: &Path| {
        let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty());
        rustix::fs::mknodat(rustix::fs::CWD, root.join("null"), kind, mode, rustix::fs::makedev(1, 3)).unwrap();
    };
    check(&device, "device node");
}

/// Other programs understand the layers.
#[test]
fn tar_reads_what_was_packed() {
    let root = TempDir::new().unwrap();
    let long = "a".repeat(200);
    fs::create_dir(root.path().join("d")).unwrap();
    fs::write(root.path().join("d").join(&long), "content").unwrap();
    symlink("target", root.path().join("s")).unwrap();
    fs::hard_link(root.path().join("d").join(&long), root.path().join("z")).unwrap();
    let layer = root.path().with_extension("tar");
    fs::write(&layer, packed(root.path(), LayerTimes::Kept)).unwrap();
    let listed = std::process::Command::new("tar").arg("-tf").arg(&layer).output().unwrap();
    fs::remove_file(layer).unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), format!("./\nd/\nd/{long}\ns\nz\n"));
    assert!(listed.stderr.is_empty());
}
