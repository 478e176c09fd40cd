//! Which files decide what is installed.

use std::collections::BTreeMap;
use std::io::Read;

use super::package::Package;
use crate::builder::BuildError;
use crate::source::{Entry, SourceTree};

pub(super) const STEP: &str = "read package.json";

/// The files of which an installation knows, besides the tree.
const FILES: [&str; 10] = [
    ".npmrc",
    ".pnpmfile.cjs",
    ".yarnrc",
    ".yarnrc.yml",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "package.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
];
/// What yarn keeps in a tree and an installation does without: the program itself.
const YARN_PROGRAM: &str = ".yarn/releases/";
/// A larger file is taken for something else.
const MOST_BYTES: u64 = 32 << 20;

/// What decides which packages are installed.
#[derive(Debug)]
pub(super) struct Inputs {
    pub(super) package: Package,
    /// The lists of packages, by name.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Whether the whole tree takes part.
    pub(super) tree: bool,
    /// Whether pnpm installs for several folders of it.
    pub(super) spans: bool,
}

/// Reads them from the tree, where it blocks on the disk.
pub(super) fn read(source: &SourceTree) -> Result<Inputs, BuildError> {
    let mut files = BTreeMap::new();
    for name in FILES {
        let Some(Entry::File { content, .. }) = source.get(name) else { continue };
        if content.bytes() > MOST_BYTES {
            let reason = format!("{name} has {} bytes, and at most {MOST_BYTES} are read", content.bytes());
            return Err(BuildError::failed(STEP, reason));
        }
        let mut bytes = Vec::new();
        source.open(*content).read_to_end(&mut bytes).map_err(|error| BuildError::unavailable(STEP, error))?;
        files.insert(name.to_owned(), bytes);
    }
    let text = files.get("package.json").map(Vec::as_slice).unwrap_or_default();
    let package =
        Package::parse(text).map_err(|problem| BuildError::failed(STEP, format!("package.json: {problem}")))?;
    let is_link = |lock: &Vec<u8>| has_links(lock);
    let links = ["npm-shrinkwrap.json", "package-lock.json"].iter().filter_map(|name| files.get(*name)).any(is_link);
    let keeps = source.entries().any(|(path, _)| {
        let path = path.as_str();
        path.starts_with(".yarn/") && !path.starts_with(YARN_PROGRAM) && path != ".yarn/releases"
    });
    let spans = files.get("pnpm-workspace.yaml").is_some_and(|settings| names_folders(settings));
    Ok(Inputs { tree: links || keeps || spans || package.needs_tree(), package, files, spans })
}

impl Inputs {
    /// Whether the app says itself where its packages come from.
    pub(super) fn names_registry(&self) -> bool {
        let has = |file: &str, key: &str| {
            let text = self.files.get(file).map(|text| String::from_utf8_lossy(text));
            text.is_some_and(|text| text.lines().any(|line| line.trim_start().starts_with(key)))
        };
        has(".yarnrc.yml", "npmRegistryServer") || has(".yarnrc", "registry") || has(".npmrc", "registry")
    }
}

/// Whether settings of pnpm name folders or files of the tree.
fn names_folders(settings: &[u8]) -> bool {
    let text = String::from_utf8_lossy(settings);
    text.lines().any(|line| ["packages:", "patchedDependencies:"].iter().any(|key| line.starts_with(key)))
}

/// Whether a lock names folders of the tree. One that cannot be read is left to npm to complain of.
fn has_links(lock: &[u8]) -> bool {
    let Ok(lock) = serde_json::from_slice::<serde_json::Value>(lock) else { return false };
    let packages = lock.get("packages").and_then(serde_json::Value::as_object);
    let is_link = |package: &serde_json::Value| {
        package.get("link").and_then(serde_json::Value::as_bool) == Some(true)
            || package.get("resolved").and_then(serde_json::Value::as_str).is_some_and(|from| from.starts_with("file:"))
    };
    packages.is_some_and(|packages| packages.values().any(is_link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_with_folders_of_the_tree_are_told_apart() {
        assert!(names_folders(b"packages:\n  - web\n"));
        assert!(names_folders(b"x: y\npatchedDependencies:\n  a: patches/a.patch\n"));
        assert!(!names_folders(b"onlyBuiltDependencies:\n  - packages\n"));
    }

    #[test]
    fn a_lock_with_folders_of_the_tree_is_told_apart() {
        let check = |lock: &str, expect| assert_eq!(has_links(lock.as_bytes()), expect, "{lock}");
        check(
            r#"{"packages": {"": {}, "node_modules/a": {"version": "1.0.0", "resolved": "https://x/a.tgz"}}}"#,
            false,
        );
        check(r#"{"packages": {"node_modules/a": {"resolved": "lib/a", "link": true}}}"#, true);
        check(r#"{"packages": {"node_modules/a": {"resolved": "file:a.tgz"}}}"#, true);
        check("<<<<<<< HEAD", false);
    }
}
