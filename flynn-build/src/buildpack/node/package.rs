//! What `package.json` says that matters to a build.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What npm runs by itself after it has installed the packages, or before.
const OWN_SCRIPTS: [&str; 8] =
    ["preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare", "dependencies"];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Package {
    scripts: BTreeMap<String, String>,
    dependencies: BTreeMap<String, serde_json::Value>,
    dev_dependencies: BTreeMap<String, serde_json::Value>,
    optional_dependencies: BTreeMap<String, serde_json::Value>,
    resolutions: BTreeMap<String, serde_json::Value>,
    workspaces: Option<serde_json::Value>,
    pnpm: BTreeMap<String, serde_json::Value>,
}

impl Package {
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)).map_err(|error| error.to_string())
    }

    /// Whether more of the tree than the lists of packages takes part in an installation.
    pub(super) fn needs_tree(&self) -> bool {
        let runs = OWN_SCRIPTS.iter().any(|script| self.scripts.contains_key(*script));
        let all = [&self.dependencies, &self.dev_dependencies, &self.optional_dependencies, &self.resolutions];
        let patches = self.pnpm.contains_key("patchedDependencies");
        let is_local = |wish: &serde_json::Value| {
            let wish = wish.as_str().unwrap_or_default();
            ["file:", "link:", "portal:", "patch:", "workspace:", "./", "../", "/", "~/"]
                .iter()
                .any(|start| wish.starts_with(start))
        };
        runs || patches || self.workspaces.is_some() || all.iter().any(|wishes| wishes.values().any(is_local))
    }

    pub(super) fn has_development_packages(&self) -> bool {
        !self.dev_dependencies.is_empty()
    }

    /// What to run in place of `command`, if that only has npm run the script `start`: the script itself, which is
    /// a process less to pass signals through.
    pub(super) fn without_npm(&self, command: &str) -> Option<&str> {
        let words: Vec<_> = command.split_whitespace().collect();
        let starts =
            matches!(words.as_slice(), ["npm" | "pnpm" | "yarn", "start"] | ["npm" | "pnpm" | "yarn", "run", "start"]);
        let has_hooks = ["prestart", "poststart"].iter().any(|script| self.scripts.contains_key(*script));
        let script = self.scripts.get("start").filter(|_| starts && !has_hooks)?;
        // Variables that only npm sets.
        (!script.contains("npm_")).then_some(script.trim()).filter(|script| !script.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_needed_for_what_is_in_it() {
        let check =
            |text: &str, expect| assert_eq!(Package::parse(text.as_bytes()).unwrap().needs_tree(), expect, "{text}");
        check("{}", false);
        check(r#"{"dependencies": {"a": "^1", "b": "git+https://example.org/b.git", "c": "npm:d@1"}}"#, false);
        check(r#"{"scripts": {"build": "x", "start": "y", "test": "z"}}"#, false);
        check(r#"{"scripts": {"postinstall": "x"}}"#, true);
        check(r#"{"scripts": {"prepare": "husky"}}"#, true);
        check(r#"{"dependencies": {"a": "file:lib"}}"#, true);
        check(r#"{"devDependencies": {"a": "../lib"}}"#, true);
        check(r#"{"workspaces": ["a"]}"#, true);
        check(r#"{"resolutions": {"a": "patch:a@1#.yarn/patches/a.patch"}}"#, true);
        check(r#"{"resolutions": {"a": "1.0.0"}}"#, false);
        check(r#"{"pnpm": {"patchedDependencies": {"a": "patches/a.patch"}}}"#, true);
        check(r#"{"pnpm": {"overrides": {"a": "1"}}}"#, false);
        assert!(Package::parse(b"{").is_err());
    }

    #[test]
    fn a_start_script_is_run_without_npm() {
        let check = |scripts: &str, command: &str, expect: Option<&str>| {
            let package = Package::parse(format!(r#"{{"scripts": {{{scripts}}}}}"#).as_bytes()).unwrap();
            assert_eq!(package.without_npm(command), expect, "{scripts} {command}");
        };
        check(r#""start": "node server.js""#, "npm start", Some("node server.js"));
        check(r#""start": "node server.js""#, " npm  run start ", Some("node server.js"));
        check(r#""start": "node server.js""#, "yarn start", Some("node server.js"));
        check(r#""start": "node server.js""#, "pnpm run start", Some("node server.js"));
        check(r#""start": "node server.js""#, "npm start -- -v", None);
        check(r#""start": "node server.js""#, "npm run web", None);
        check(r#""start": "a", "prestart": "b""#, "npm start", None);
        check(r#""start": "node x --v $npm_package_version""#, "npm start", None);
        check(r#""build": "x""#, "npm start", None);
    }
}
