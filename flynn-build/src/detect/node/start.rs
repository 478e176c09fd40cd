use super::package::Package;
use crate::detect::evidence::Evidence;

/// The command that starts an app without a `Procfile`: the script `start`, what npm itself starts where nothing is
/// said, what its framework makes, or the file that `main` names.
pub(super) fn start(evidence: &Evidence, package: &Package) -> Option<String> {
    if package.scripts.contains_key("start") {
        return Some("npm start".to_owned());
    }
    if evidence.has("server.js") {
        return Some("node server.js".to_owned());
    }
    if package.uses("nuxt") && package.scripts.contains_key("build") {
        return Some("node .output/server/index.mjs".to_owned());
    }
    let main = package.main.as_deref().map(|main| main.trim_start_matches("./"));
    let main = main.filter(|main| main.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)));
    let named = main.into_iter().flat_map(|main| [main.to_owned(), format!("{main}.js"), format!("{main}/index.js")]);
    let file = named.chain(["index.js".to_owned()]).find(|file| evidence.has(file))?;
    Some(format!("node {file}"))
}
