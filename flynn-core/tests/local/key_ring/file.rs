use super::*;

#[test]
fn a_created_file_is_as_documented() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let ring = FileKeyRing::create(&path, NOW).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(directory.path()), ["keys"]);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [header, comment, key] = lines[..] else { panic!("{text}") };
    assert_eq!(header, "flynn-key-ring 1");
    assert!(comment.starts_with('#'));
    let fields: Vec<&str> = key.split(' ').collect();
    let ["key", id, at, hex] = fields[..] else { panic!("{key}") };
    assert_eq!((at, hex.len()), ("1800000000000", 64));
    assert_eq!(ring.keys(), [(KeyId(id.into()), NOW)]);

    let sealed = ring.seal(OBJECT, b"value").unwrap();
    assert_eq!(sealed.key.0, id);
    drop(ring);
    let reopened = FileKeyRing::open(&path).unwrap();
    assert_eq!(reopened.open(OBJECT, &sealed).unwrap().expose(), b"value");
}

#[test]
fn keys_are_random() {
    let directory = tempfile::tempdir().unwrap();
    let mut words = BTreeSet::new();
    for number in 0..20 {
        let path = directory.path().join(number.to_string());
        FileKeyRing::create(&path, NOW).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let hex = text.trim_end().rsplit(' ').next().unwrap();
        words.extend(hex.as_bytes().chunks(8).map(<[u8]>::to_vec));
    }
    assert_eq!(words.len(), 20 * 8);
}

#[test]
fn a_file_is_never_overwritten() {
    let (directory, path) = file("precious", 0o600);
    let problem = problem(FileKeyRing::create(&path, NOW));
    assert!(problem.contains("is there already"), "{problem}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert_eq!(names(directory.path()), ["keys"]);
}

#[test]
fn of_racing_creators_one_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = directory.path().join(round.to_string());
        let created: Vec<_> = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..4).map(|_| scope.spawn(|| FileKeyRing::create(&path, NOW).ok())).collect();
            creators.into_iter().filter_map(|creator| creator.join().unwrap()).collect()
        });
        let [ring] = &created[..] else { panic!("{created:?}") };
        let sealed = ring.seal(OBJECT, b"value").unwrap();
        FileKeyRing::open(&path).unwrap().open(OBJECT, &sealed).unwrap();
    }
    assert_eq!(names(directory.path()).len(), 20);
}

#[test]
fn a_missing_file_says_what_is_lost_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let problem = problem(FileKeyRing::open(&path));
    for part in [path.to_str().unwrap(), "every sealed value", "is lost", "Restore the file from a backup"] {
        assert!(problem.contains(part), "{problem}");
    }
    assert!(names(directory.path()).is_empty());
}

#[test]
fn a_file_that_others_can_access_is_refused() {
    let text = format!("flynn-key-ring 1\nkey k1 5 {HEX}\n");
    for bad in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777] {
        let (_directory, path) = file(&text, bad);
        let problem = problem(FileKeyRing::open(&path));
        assert!(problem.contains(&format!("chmod 600 {}", path.display())), "{problem}");
        assert!(problem.contains(&format!("{bad:04o}")), "{problem}");
    }
    for good in [0o600, 0o400, 0o700] {
        let (_directory, path) = file(&text, good);
        FileKeyRing::open(&path).unwrap();
    }
}

#[test]
fn a_malformed_file_is_refused_by_its_line() {
    let key = format!("key k1 5 {HEX}");
    for (text, line, part) in [
        (String::new(), 1, "expected `flynn-key-ring 1`"),
        (format!("{key}\n"), 1, "expected `flynn-key-ring 1`"),
        (format!("flynn-key-ring\n{key}\n"), 1, "expected `flynn-key-ring 1`"),
        (format!("flynn-key-ring 2\n{key}\n"), 1, "not known"),
        (format!("flynn-key-ring 10\n{key}\n"), 1, "not known"),
        (format!("flynn-key-ring 1 \n{key}\n"), 1, "not known"),
        ("flynn-key-ring 1\n".into(), 1, "without a key"),
        ("flynn-key-ring 1\n\n# none\n".into(), 3, "without a key"),
        (format!("flynn-key-ring 1\n{key}\nkey\n"), 3, "one space"),
        (format!("flynn-key-ring 1\n{key} more\n"), 2, "one space"),
        (format!("flynn-key-ring 1\nkey  k1 5 {HEX}\n"), 2, "one space"),
        (format!("flynn-key-ring 1\nKEY k1 5 {HEX}\n"), 2, "one space"),
        (format!("flynn-key-ring 1\n# a\n\n{key}\n {key}\n"), 5, "one space"),
        (format!("flynn-key-ring 1\nkey K1 5 {HEX}\n"), 2, "an id is"),
        (format!("flynn-key-ring 1\nkey {} 5 {HEX}\n", "k".repeat(65)), 2, "an id is"),
        (format!("flynn-key-ring 1\nkey k1 soon {HEX}\n"), 2, "the time"),
        (format!("flynn-key-ring 1\nkey k1 +5 {HEX}\n"), 2, "the time"),
        (format!("flynn-key-ring 1\nkey k1 -5 {HEX}\n"), 2, "the time"),
        (format!("flynn-key-ring 1\nkey k1 99999999999999999999 {HEX}\n"), 2, "the time"),
        (format!("flynn-key-ring 1\nkey k1 5 {}\n", &HEX[1..]), 2, "a key is"),
        (format!("flynn-key-ring 1\nkey k1 5 {HEX}0\n"), 2, "a key is"),
        (format!("flynn-key-ring 1\nkey k1 5 {}\n", HEX.to_uppercase()), 2, "a key is"),
        (format!("flynn-key-ring 1\nkey k1 5 {}zz\n", &HEX[2..]), 2, "a key is"),
        (format!("flynn-key-ring 1\n{key}\n{key}\n"), 3, "another key"),
    ] {
        let (_directory, path) = file(&text, 0o600);
        let problem = problem(FileKeyRing::open(&path));
        assert!(problem.contains(&format!("line {line}: ")) && problem.contains(part), "{text:?} gives {problem}");
        assert!(problem.contains(path.to_str().unwrap()), "{problem}");
        assert!(!problem.contains(&HEX[2..20]), "{problem}");
    }
    let (_directory, path) = file([b"flynn-key-ring 1\n# \n\xff\n".as_slice(), key.as_bytes()].concat(), 0o600);
    let problem = problem(FileKeyRing::open(&path));
    assert!(problem.contains("line 3: not UTF-8"), "{problem}");
}

#[test]
fn comments_and_a_missing_last_line_end_are_accepted() {
    for text in [
        format!("flynn-key-ring 1\nkey k1 5 {HEX}"),
        format!("flynn-key-ring 1\r\n# of us\r\n\r\nkey k1 5 {HEX}\r\n"),
        format!("flynn-key-ring 1\n\n# of us\nkey k1 5 {HEX}\n\n"),
    ] {
        let (_directory, path) = file(&text, 0o600);
        let ring = FileKeyRing::open(&path).unwrap();
        assert_eq!(ring.keys(), [(KeyId("k1".into()), Timestamp::from_millis(5))]);
    }
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing/keys");
    let problem = problem(FileKeyRing::create(&path, NOW));
    assert!(problem.contains(path.to_str().unwrap()), "{problem}");
}
