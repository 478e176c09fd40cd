use flynn_build::source::{Entry, SourceTree};
use proptest::prelude::*;

use crate::archive::{Archive, gzip, intake, read};

/// Archives with all kinds of headers that mean something.
fn archives() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof!["[a-c]{1,2}", "[a-c](/[a-c]){1,3}", "(\\.\\./){0,2}[a-c]", "/?[a-c]/?", "\\PC{0,20}"];
    let flag = proptest::sample::select(b"00001225xLKgSZ\0".to_vec());
    let entry = (flag, name.clone(), name, any::<u16>(), proptest::collection::vec(any::<u8>(), 0..600));
    proptest::collection::vec(entry, 0..8).prop_map(|entries| {
        let archive = entries.into_iter().fold(Archive::default(), |archive, (flag, path, target, mode, content)| {
            let cut = |text: String| text.chars().take(20).collect::<String>();
            let (path, target) = (cut(path), cut(target));
            match flag {
                b'x' => archive.pax(&[("path", &path), ("linkpath", &target)]),
                b'L' | b'K' => archive.entry(flag, "long", "", 0, path.as_bytes()),
                b'0' | b'g' | b'S' | b'Z' => archive.entry(flag, &path, &target, mode.into(), &content),
                _ => archive.entry(flag, &path, &target, mode.into(), b""),
            }
        });
        archive.end()
    })
}

/// What holds of every tree that was taken in, whatever it was made from.
fn examine(tree: &SourceTree) {
    for (path, _) in tree.entries() {
        assert!(
            !path.as_str().starts_with('/') && path.as_str().split('/').all(|name| !matches!(name, "" | "." | ".."))
        );
        if let Some(parent) = path.parent() {
            assert_eq!(tree.get(parent.as_str()), Some(&Entry::Folder), "{path}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/root");
    std::fs::create_dir_all(&root).unwrap();
    tree.unpack(&root).unwrap();
    let beside: Vec<_> = std::fs::read_dir(folder.path().join("a")).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
    let real = root.canonicalize().unwrap();
    for (path, entry) in tree.entries() {
        let at = root.join(path.as_str());
        match entry {
            // A link whose target is there leads to something within the root.
            Entry::Symlink { .. } => assert!(at.canonicalize().map_or(true, |to| to.starts_with(&real)), "{path}"),
            Entry::Folder => assert!(at.symlink_metadata().unwrap().is_dir()),
            Entry::File { content, .. } => assert_eq!(at.symlink_metadata().unwrap().len(), content.bytes()),
        }
    }
    let mut packed = Vec::new();
    std::io::copy(&mut tree.pack(), &mut packed).unwrap();
    assert_eq!(read(&packed).unwrap().digest().unwrap(), tree.digest().unwrap());
}

#[allow(clippy::disallowed_methods, reason = "the test run says how many cases it wants")]
fn cases() -> ProptestConfig {
    ProptestConfig::with_cases(std::env::var("FLYNN_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_is_taken_in_stays_in_its_root(archive in archives()) {
        if let Ok(tree) = read(&archive) {
            examine(&tree);
        }
    }

    #[test]
    fn damage_is_survived(
        archive in archives(),
        compressed in any::<bool>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        fix_checksums in any::<bool>(),
    ) {
        let mut bytes = if compressed { gzip(&archive) } else { archive };
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
            let block = at / 512 * 512;
            if fix_checksums && !compressed && let Some(header) = bytes.get_mut(block..block + 512) {
                header[148..156].fill(b' ');
                let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
                header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        if let Ok(tree) = read(&bytes) {
            examine(&tree);
        }
    }

    #[test]
    fn what_is_cut_short_is_refused(archive in archives(), compressed in any::<bool>(), cut in any::<prop::sample::Index>()) {
        let bytes = if compressed { gzip(&archive) } else { archive };
        // The second half of the end of a plain archive is padding that may be missing in part.
        let cut = cut.index(bytes.len());
        prop_assert!(read(&bytes[..cut]).is_err());
    }

    #[test]
    fn noise_is_no_archive(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        prop_assert!(SourceTree::from_archive(bytes.as_slice(), &intake()).is_err());
    }
}
