//! What a `Pipfile.lock` says, as requirements.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::settings::PYTHON_INDEX;

/// The requirements of an app for its production, and whether some are in its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locked {
    pub(super) requirements: String,
    pub(super) is_local: bool,
}

#[derive(Deserialize)]
struct Lock {
    #[serde(rename = "_meta")]
    meta: Meta,
    default: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Meta {
    hash: Hash,
    #[serde(default)]
    sources: Vec<Source>,
}

#[derive(Deserialize)]
struct Hash {
    sha256: String,
}

#[derive(Deserialize)]
struct Source {
    url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Package {
    version: Option<String>,
    hashes: Vec<String>,
    markers: Option<String>,
    extras: Vec<String>,
    editable: bool,
    git: Option<String>,
    #[serde(rename = "ref")]
    revision: Option<String>,
    subdirectory: Option<String>,
    path: Option<String>,
    file: Option<String>,
}

/// Reads a lock and the `Pipfile` that it was made of.
///
/// # Errors
/// What is wrong, for its author.
pub(super) fn locked(pipfile: &[u8], lock: &[u8]) -> Result<Locked, String> {
    let lock: Lock =
        serde_json::from_slice(lock).map_err(|error| format!("Pipfile.lock: {error}: run `pipenv lock`"))?;
    let stated = digest(pipfile)?;
    if lock.meta.hash.sha256 != stated {
        return Err("Pipfile.lock is not that of the Pipfile beside it: run `pipenv lock` and commit the file".into());
    }
    let mut requirements = String::new();
    for (index, source) in lock.meta.sources.iter().filter(|source| !is_usual(&source.url)).enumerate() {
        let is_only = index == 0 && lock.meta.sources.iter().all(|source| !is_usual(&source.url));
        let option = if is_only { "--index-url" } else { "--extra-index-url" };
        let _never_fails = writeln!(requirements, "{option} {}", source.url);
    }
    let mut is_local = false;
    for (name, package) in &lock.default {
        let wrong = |problem: &str| format!("Pipfile.lock: {name}: {problem}: run `pipenv lock`");
        let package: Package = serde_json::from_value(package.clone()).map_err(|error| wrong(&error.to_string()))?;
        is_local |= package.path.is_some();
        let line = package.line(name).ok_or_else(|| wrong("it says no version"))?;
        if line.contains(['\n', '\r']) {
            return Err(wrong("it has a line break"));
        }
        requirements.push_str(&line);
        requirements.push('\n');
    }
    Ok(Locked { requirements, is_local })
}

impl Package {
    fn line(&self, name: &str) -> Option<String> {
        let extras = if self.extras.is_empty() { String::new() } else { format!("[{}]", self.extras.join(",")) };
        let marker = self.markers.as_ref().map(|marker| format!(" ; {marker}")).unwrap_or_default();
        if let Some(path) = &self.path {
            let option = if self.editable { "--editable " } else { "" };
            return Some(format!("{option}/app/{}{extras}", path.trim_start_matches("./")));
        }
        let from = match (&self.git, &self.file) {
            (Some(git), _) => {
                let address = if git.contains("://") { format!("git+{git}") } else { git.clone() };
                let revision = self.revision.as_ref().map(|revision| format!("@{revision}")).unwrap_or_default();
                let folder = self.subdirectory.as_ref().map(|folder| format!("#subdirectory={folder}"));
                Some(format!("{address}{revision}{}", folder.unwrap_or_default()))
            }
            (None, Some(file)) => Some(file.clone()),
            (None, None) => None,
        };
        if let Some(from) = from {
            return Some(format!("{name}{extras} @ {from}{marker}"));
        }
        let version = self.version.as_deref().filter(|version| version.starts_with("=="))?;
        let hashes: String = self.hashes.iter().map(|hash| format!(" --hash={hash}")).collect();
        Some(format!("{name}{extras}{version}{marker}{hashes}"))
    }
}

fn is_usual(url: &str) -> bool {
    url.trim_end_matches('/') == PYTHON_INDEX
}

/// The digest of what a `Pipfile` says, as Pipenv takes it: of everything as JSON with sorted keys and no spaces.
fn digest(pipfile: &[u8]) -> Result<String, String> {
    const OWN: [&str; 9] =
        ["source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop"];
    let text = std::str::from_utf8(pipfile).map_err(|_| "Pipfile: it is not UTF-8: save it as UTF-8".to_owned())?;
    let pipfile: BTreeMap<String, Value> = toml::from_str(text).map_err(|error| format!("Pipfile: {error}"))?;
    let section = |name: &str| pipfile.get(name).cloned().unwrap_or_else(|| json!({}));
    let usual = || json!([{"name": "pypi", "url": PYTHON_INDEX, "verify_ssl": true}]);
    let sources = pipfile.get("source").cloned().unwrap_or_else(usual);
    let mut data = BTreeMap::from([
        ("_meta".to_owned(), json!({"sources": sources, "requires": section("requires")})),
        ("default".to_owned(), section("packages")),
        ("develop".to_owned(), section("dev-packages")),
    ]);
    let others = pipfile.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    data.extend(others.map(|(name, content)| (name.clone(), content.clone())));
    let text = sorted(&Value::Object(data.into_iter().collect()));
    Ok(Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// JSON as Python writes it with sorted keys, no spaces and nothing but ASCII.
fn sorted(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(",")),
        Value::Object(items) => {
            let items: BTreeMap<_, _> = items.iter().collect();
            let items = items.into_iter().map(|(name, item)| format!("{}:{}", ascii(&json!(name)), sorted(item)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(","))
        }
        other => ascii(other),
    }
}

fn ascii(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let mut units = [0; 2];
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPFILE: &str = "[[source]]
url = \"https://pypi.org/simple\"
verify_ssl = true
name = \"pypi\"

[packages]
flask = \"==3.1.2\"
\"grün\" = {version = \"*\", extras = [\"b\", \"a\"]}

[dev-packages]

[requires]
python_version = \"3.13\"
";

    fn lock(default: &str) -> String {
        let hash = digest(PIPFILE.as_bytes()).unwrap();
        format!(
            r#"{{"_meta": {{"hash": {{"sha256": "{hash}"}}, "pipfile-spec": 6, "requires": {{}},
                "sources": [{{"name": "pypi", "url": "https://pypi.org/simple", "verify_ssl": true}}]}},
                "default": {default}, "develop": {{"pytest": {{"version": "==1"}}}}}}"#
        )
    }

    fn requirements(default: &str) -> Result<Locked, String> {
        locked(PIPFILE.as_bytes(), lock(default).as_bytes())
    }

    #[test]
    fn a_lock_becomes_requirements() {
        let check = |package: &str, expect: &str, is_local: bool| {
            let got = requirements(&format!(r#"{{"a": {package}}}"#)).unwrap();
            assert_eq!((got.requirements.trim_end(), got.is_local), (expect, is_local));
        };
        check(r#"{"version": "==1.0"}"#, "a==1.0", false);
        check(
            r#"{"hashes": ["sha256:1", "sha256:2"], "index": "pypi", "markers": "python_version >= '3.9'", "version": "==1"}"#,
            "a==1 ; python_version >= '3.9' --hash=sha256:1 --hash=sha256:2",
            false,
        );
        check(r#"{"extras": ["x", "y"], "version": "==1"}"#, "a[x,y]==1", false);
        check(
            r#"{"git": "https://example.org/a.git", "ref": "abc", "subdirectory": "b"}"#,
            "a @ git+https://example.org/a.git@abc#subdirectory=b",
            false,
        );
        check(r#"{"editable": true, "path": "."}"#, "--editable /app/.", true);
        check(r#"{"path": "./lib"}"#, "/app/lib", true);
        check(r#"{"file": "https://example.org/a.whl"}"#, "a @ https://example.org/a.whl", false);
        assert!(requirements(r#"{"a": {}}"#).unwrap_err().contains("a: it says no version"));
        assert!(requirements(r#"{"a": {"version": "*"}}"#).unwrap_err().contains("run `pipenv lock`"));
        assert!(requirements(r#"{"a": {"version": "==1\n--index-url x"}}"#).unwrap_err().contains("line break"));
    }

    #[test]
    fn a_lock_of_another_file_is_refused() {
        let other = PIPFILE.replace("3.1.2", "3.1.1");
        assert!(locked(other.as_bytes(), lock("{}").as_bytes()).unwrap_err().contains("is not that of the Pipfile"));
        // What says the same in another order, or what only scripts say, is the same.
        let same = PIPFILE.replace(
            "url = \"https://pypi.org/simple\"\nverify_ssl = true",
            "verify_ssl = true\nurl = 'https://pypi.org/simple'",
        ) + "[scripts]\nserve = 'x'\n";
        assert_eq!(locked(same.as_bytes(), lock("{}").as_bytes()), requirements("{}"));
        for broken in ["", "{", "<<<<<<< HEAD"] {
            assert!(locked(PIPFILE.as_bytes(), broken.as_bytes()).unwrap_err().starts_with("Pipfile.lock: "));
        }
        assert!(locked(b"[", lock("{}").as_bytes()).unwrap_err().starts_with("Pipfile: "));
    }

    #[test]
    fn other_indexes_are_named() {
        let check = |url: &str, expect: &str| {
            let lock = lock("{}").replace("https://pypi.org/simple", url);
            assert_eq!(locked(PIPFILE.as_bytes(), lock.as_bytes()).unwrap().requirements, expect);
        };
        check("https://pypi.org/simple", "");
        check("https://pypi.org/simple/", "");
        check("https://example.org/simple", "--index-url https://example.org/simple\n");
        let more = r#""verify_ssl": true}, {"name": "x", "url": "https://example.org/simple", "verify_ssl": true}]"#;
        let lock = lock("{}").replace(r#""verify_ssl": true}]"#, more);
        let both = locked(PIPFILE.as_bytes(), lock.as_bytes()).unwrap();
        assert_eq!(both.requirements, "--extra-index-url https://example.org/simple\n");
    }

    /// What Python's `json.dumps(…, sort_keys=True, separators=(",", ":"))` and SHA-256 give for the same content.
    #[test]
    fn the_digest_is_that_of_pipenv() {
        assert_eq!(
            digest(PIPFILE.as_bytes()).unwrap(),
            "5eb13bfbc7f16a6a666b77218d8dfaa64b7bc076241c395663d7362d716a84be"
        );
    }
}
