//! The shape of files: their length, their names and what they must not mention.

const MOST_LINES: usize = 1000;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = ["common", "helper", "helpers", "manager", "misc", "util", "utils", "utilities"];

/// Folders at the root of a machine under which people keep their own files.
const PRIVATE_ROOTS: [&str; 4] = ["Users", "home", "root", "work"];

/// Hosts of package registries, apart from their last label: this file is checked too.
const REGISTRY_HOSTS: [(&str, &str); 10] = [
    ("deb.debian", "org"),
    ("files.pythonhosted", "org"),
    ("index.crates", "io"),
    ("proxy.golang", "org"),
    ("pypi", "org"),
    ("registry.npmjs", "org"),
    ("repo.maven.apache", "org"),
    ("repo1.maven", "org"),
    ("static.crates", "io"),
    ("sum.golang", "org"),
];

/// Where registries are the subject: the defaults and examples of the crate that builds apps from their packages.
const ABOUT_REGISTRIES: &str = "flynn-build/src/";

/// The lock files of apps that tests build: the tools that write them name the registry inside.
const APP_LOCKS: [&str; 3] = ["Pipfile.lock", "package-lock.json", "uv.lock"];

/// Finds a source file that is too long to be read in one sitting.
pub fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (path.ends_with(".rs") && lines > MOST_LINES)
        .then(|| format!("{path} has {lines} lines: split it by subject, {MOST_LINES} are the most"))
}

/// Finds a file or folder on the way to `path` whose name says nothing.
pub fn empty_name(path: &str) -> Option<String> {
    path.split('/')
        .find(|part| {
            let stem = part.split('.').next().unwrap_or(part).to_lowercase();
            EMPTY_NAMES.contains(&stem.as_str())
        })
        .map(|part| format!("{path}: `{part}` does not say what is inside"))
}

/// Finds mentions of one machine's folders and of package registries' hosts.
pub fn machine_mentions(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", index + 1);
        if let Some(root) = PRIVATE_ROOTS.iter().find(|root| mentions_below(line, root)) {
            findings.push(format!("{place} has a path below one machine's /{root}"));
        }
        let host = REGISTRY_HOSTS.iter().map(|(name, last)| format!("{name}.{last}")).find(|host| line.contains(host));
        if let Some(host) = host.filter(|_| !may_name_registries(path)) {
            findings.push(format!("{place} names the registry host {host}: leave the choice to the machine"));
        }
    }
    findings
}

fn may_name_registries(path: &str) -> bool {
    path.starts_with(ABOUT_REGISTRIES) || path.rsplit('/').next().is_some_and(|name| APP_LOCKS.contains(&name))
}

/// Whether an absolute path below `root` begins somewhere in `line`. What continues a longer path
/// or an address does not begin one.
fn mentions_below(line: &str, root: &str) -> bool {
    let needle = format!("/{root}/");
    line.match_indices(&needle).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.~/}>)".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_have_a_greatest_length() {
        let most = "line\n".repeat(MOST_LINES);
        let more = format!("{most}line\n");
        assert_eq!(too_long("a.rs", &most), None);
        assert_eq!(too_long("a.lock", &more), None);
        assert_eq!(too_long("a.rs", &more).unwrap(), "a.rs has 1001 lines: split it by subject, 1000 are the most");
    }

    #[test]
    fn empty_names_are_found_in_files_and_folders() {
        for path in ["flynn-core/src/util.rs", "flynn-core/src/Common/id.rs", "helpers/a.txt", "a/manager.tar.gz"] {
            assert!(empty_name(path).is_some(), "{path}");
        }
        for path in ["flynn-core/src/utility_bill.rs", "a/commons.rs", ".gitignore"] {
            assert_eq!(empty_name(path), None);
        }
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for root in PRIVATE_ROOTS {
            for before in ["", "cd ", "\"", "=", "(", ":", "file:"] {
                let line = format!("first\n{before}/{root}/someone/flynn");
                assert_eq!(machine_mentions("a.md", &line), [format!("a.md:2 has a path below one machine's /{root}")],);
            }
            for before in ["https://example.org", "target", "..", "{rootfs}", "~", "$HOME"] {
                let line = format!("{before}/{root}/inside");
                assert_eq!(machine_mentions("a.md", &line), [""; 0], "{line}");
            }
        }
    }

    #[test]
    fn registry_hosts_are_found_but_not_the_lock_files_source() {
        let (name, last) = REGISTRY_HOSTS[2];
        let line = format!("url = \"https://{name}.{last}/x\"");
        assert_eq!(machine_mentions("a.toml", &line).len(), 1);
        for path in ["flynn-build/src/settings.rs", "tests/x/uv.lock", "package-lock.json"] {
            assert_eq!(machine_mentions(path, &line), [""; 0], "{path}");
        }
        for path in ["flynn-build/tests/src/a.rs", "flynn-core/src/settings.rs", "not-uv.lock"] {
            assert_eq!(machine_mentions(path, &line).len(), 1, "{path}");
        }
        let source = "registry+https://github.com/rust-lang/crates.io-index";
        assert_eq!(machine_mentions("Cargo.lock", source), [""; 0]);
    }
}
