//! Which files decide what is installed.

use std::collections::BTreeMap;
use std::io::Read;

use super::package::Package;
use crate::builder::BuildError;
use crate::source::{Entry, SourceTree};

pub(super) const STEP: &str = "read package.json";

/// The files of which an installation knows, besides the tree.
const FILES: [&str; 4] = [".npmrc", "npm-shrinkwrap.json", "package-lock.json", "package.json"];
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
    Ok(Inputs { tree: links || package.needs_tree(), package, files })
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
