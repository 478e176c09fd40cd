//! Whether the symlinks of a tree stay within it.

use std::collections::BTreeMap;

use super::{Entry, SourceError, TreePath};

/// As many links as Linux follows on the way to one file.
const MOST_LINKS: usize = 40;

/// Follows every symlink as the kernel would, through the other symlinks of the tree. What points at
/// nothing, or in a circle, stays where it is and is no danger.
pub(super) fn check(entries: &BTreeMap<TreePath, Entry>) -> Result<(), SourceError> {
    for (path, entry) in entries {
        let Entry::Symlink { target } = entry else {
            continue;
        };
        if leaves(entries, path, target) {
            let arrow = format!("{} -> {target}", path.as_str());
            return Err(SourceError::invalid(&arrow, "the symlink leads out of the source tree"));
        }
    }
    Ok(())
}

fn leaves(entries: &BTreeMap<TreePath, Entry>, path: &TreePath, target: &str) -> bool {
    let mut at: Vec<&str> = path.as_str().split('/').collect();
    at.pop();
    let mut ahead: Vec<&str> = target.rsplit('/').collect();
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        match name {
            "" | "." => {}
            ".." if at.is_empty() => return true,
            ".." => drop(at.pop()),
            name => {
                at.push(name);
                if let Some(Entry::Symlink { target }) = entries.get(at.join("/").as_str()) {
                    links += 1;
                    if links > MOST_LINKS {
                        return false;
                    }
                    at.pop();
                    ahead.extend(target.rsplit('/'));
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_links(links: &[(&str, &str)], expect: Option<&str>) {
        let entries = links
            .iter()
            .map(|(path, target)| (TreePath::new(path).unwrap(), Entry::Symlink { target: (*target).to_owned() }))
            .collect();
        let refused = check(&entries).err().map(|error| error.to_string());
        match expect {
            Some(path) => assert!(refused.as_ref().is_some_and(|text| text.contains(path)), "{links:?}: {refused:?}"),
            None => assert_eq!(refused, None, "{links:?}"),
        }
    }

    #[test]
    fn links_within_the_tree_are_kept() {
        check_links(&[("a", "b")], None);
        check_links(&[("a", "."), ("d/e", "../f"), ("d/g/h", "../../i")], None);
        check_links(&[("a", "missing/deep")], None);
    }

    #[test]
    fn links_out_of_the_tree_are_named() {
        check_links(&[("a", "..")], Some("a -> .."));
        check_links(&[("d/e", "../../x")], Some("d/e"));
        check_links(&[("d/e", "f/../../../x")], Some("d/e"));
    }

    #[test]
    fn links_through_links_are_followed() {
        // Read by names alone, `c` would end at the root.
        check_links(&[("a/b", ".."), ("c", "a/b/../..")], Some("c ->"));
        check_links(&[("d/up", ".."), ("d/e", "up/up/x"), ("up", "."), ("d/f", "up/d/up/d")], None);
    }

    #[test]
    fn circles_lead_nowhere() {
        check_links(&[("a", "b"), ("b", "a")], None);
        check_links(&[("a", "a/x")], None);
    }
}
