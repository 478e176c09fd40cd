use super::*;

const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);

fn create(directory: &Path) -> (PathBuf, FileKeyRing) {
    let path = directory.join("keys");
    let ring = FileKeyRing::create(&path, NOW).unwrap();
    (path, ring)
}

#[test]
fn the_newest_key_seals_and_all_open() {
    let directory = tempfile::tempdir().unwrap();
    let (path, ring) = create(directory.path());
    let mut seals = vec![ring.seal(OBJECT, b"0").unwrap()];
    for number in 1..5_u8 {
        // The order in the file counts, also when the clock was set back.
        let id = ring.rotate(LATER.before(std::time::Duration::from_secs(number.into()))).unwrap();
        assert_eq!(ring.keys().last().unwrap().0, id);
        let sealed = ring.seal(OBJECT, &[b'0' + number]).unwrap();
        assert_eq!(sealed.key, id);
        seals.push(sealed);
    }
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(directory.path()), ["keys"]);
    let reopened = FileKeyRing::open(&path).unwrap();
    assert_eq!(reopened.keys(), ring.keys());
    for ring in [ring, reopened] {
        for (number, sealed) in (b'0'..).zip(&seals) {
            assert_eq!(ring.open(OBJECT, sealed).unwrap().expose(), [number]);
        }
        let renamed = Sealed { key: seals[1].key.clone(), ..seals[0].clone() };
        assert!(matches!(ring.open(OBJECT, &renamed), Err(KeyRingError::Forged)));
    }
}

#[test]
fn what_else_is_in_the_file_stays() {
    let text = format!("flynn-key-ring 1\n# the first one\nkey k1 5 {HEX}");
    let (_directory, path) = file(&text, 0o400);
    let id = FileKeyRing::open(&path).unwrap().rotate(LATER).unwrap();
    let rotated = fs::read_to_string(&path).unwrap();
    let added = rotated.strip_prefix(&text).unwrap();
    assert!(added.starts_with(&format!("\nkey {} {} ", id.0, LATER.as_millis())), "{added}");
}

#[test]
fn racing_rotations_lose_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let (path, shared) = create(directory.path());
    let seals: Vec<Sealed> = std::thread::scope(|scope| {
        let rotate = |ring: &FileKeyRing| -> Vec<Sealed> {
            let rotated = (0..10).map(|_| {
                ring.rotate(NOW).unwrap();
                ring.seal(OBJECT, b"value").unwrap()
            });
            rotated.collect()
        };
        let (path, shared) = (&path, &shared);
        let threads: Vec<_> = (0..6)
            .map(|number| match number % 2 {
                0 => scope.spawn(move || rotate(shared)),
                _ => scope.spawn(move || rotate(&FileKeyRing::open(path).unwrap())),
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let ring = FileKeyRing::open(&path).unwrap();
    assert_eq!(ring.keys().len(), 1 + 60);
    for sealed in &seals {
        ring.open(OBJECT, sealed).unwrap();
    }
    shared.reload().unwrap();
    assert_eq!(shared.keys(), ring.keys());
    assert_eq!(names(directory.path()), ["keys"]);
}

#[test]
fn another_process_learns_of_a_key_by_reading_again() {
    let directory = tempfile::tempdir().unwrap();
    let (path, ring) = create(directory.path());
    let other = FileKeyRing::open(&path).unwrap();
    let id = ring.rotate(LATER).unwrap();
    let sealed = ring.seal(OBJECT, b"value").unwrap();
    assert!(matches!(other.open(OBJECT, &sealed), Err(KeyRingError::UnknownKey(key)) if key == id));
    other.reload().unwrap();
    assert_eq!(other.open(OBJECT, &sealed).unwrap().expose(), b"value");
}

#[test]
fn what_a_dead_process_left_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let (path, ring) = create(directory.path());
    let sealed = ring.seal(OBJECT, b"value").unwrap();
    let beside = directory.path().join("keys.new");

    fs::write(&beside, "half a file that is longer than the other one".repeat(100)).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o666)).unwrap();
    ring.rotate(LATER).unwrap();
    assert_eq!((mode(&path), names(directory.path())), (0o600, vec!["keys".to_owned()]));

    // Died between the two steps of a creation.
    fs::hard_link(&path, &beside).unwrap();
    ring.rotate(LATER).unwrap();
    assert_eq!(names(directory.path()), ["keys"]);
    let ring = FileKeyRing::open(&path).unwrap();
    assert_eq!(ring.keys().len(), 3);
    ring.open(OBJECT, &sealed).unwrap();
}

#[test]
fn a_file_that_is_gone_or_damaged_is_left_so() {
    let directory = tempfile::tempdir().unwrap();
    let (path, ring) = create(directory.path());
    let sealed = ring.seal(OBJECT, b"value").unwrap();
    let text = fs::read(&path).unwrap();

    fs::write(&path, "flynn-key-ring 1\ndamaged\n").unwrap();
    assert!(problem(ring.rotate(LATER)).contains("line 2"));
    assert!(problem(ring.reload()).contains("line 2"));
    assert_eq!(fs::read(&path).unwrap(), b"flynn-key-ring 1\ndamaged\n");
    fs::remove_file(&path).unwrap();
    assert!(problem(ring.rotate(LATER)).contains("is missing"));
    assert!(problem(ring.reload()).contains("is missing"));
    assert!(names(directory.path()).is_empty());
    assert_eq!(ring.open(OBJECT, &sealed).unwrap().expose(), b"value", "the ring is as it was");

    fs::write(&path, text).unwrap();
    assert!(problem(ring.rotate(LATER)).contains("chmod 600"));
}

#[test]
fn a_full_disk_changes_nothing() {
    let disk = SmallDisk::new("size=64k");
    let (path, ring) = create(disk.path());
    let text = fs::read(&path).unwrap();
    let filled = fs::write(disk.path().join("filler"), vec![0; 1 << 20]).unwrap_err();
    assert_eq!(filled.kind(), std::io::ErrorKind::StorageFull);
    assert!(problem(ring.rotate(LATER)).contains("cannot be written"));
    assert!(problem(FileKeyRing::create(disk.path().join("more"), NOW)).contains("cannot be written"));
    assert_eq!(fs::read(&path).unwrap(), text);
    assert_eq!(names(disk.path()).into_iter().collect::<BTreeSet<_>>(), ["filler", "keys"].map(String::from).into());
    fs::remove_file(disk.path().join("filler")).unwrap();
    ring.rotate(LATER).unwrap();
}
