//! Which files decide what is installed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::detect::PythonPackages;

/// What decides which packages are installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inputs {
    /// These files alone, by their paths from the root of the tree.
    Files(BTreeMap<String, Vec<u8>>),
    /// The whole tree, since something of it is installed too.
    Tree,
}

/// Decides by the files that `read` gives by their paths from the root of the tree.
pub(super) fn inputs(packages: PythonPackages, read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Inputs {
    let files = match packages {
        PythonPackages::Requirements => requirements(read),
        PythonPackages::Uv | PythonPackages::Project => project(read),
        PythonPackages::Poetry => poetry(read),
        PythonPackages::Pipenv => Some(present(&["Pipfile", "Pipfile.lock"], read)),
        PythonPackages::Setup => None,
    };
    files.map_or(Inputs::Tree, Inputs::Files)
}

fn present(files: &[&str], read: &dyn Fn(&str) -> Option<Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    files.iter().filter_map(|file| Some(((*file).to_owned(), read(file)?))).collect()
}

/// The requirements and what they include; none if they name something of the tree to install.
fn requirements(read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut next = vec!["requirements.txt".to_owned()];
    while let Some(path) = next.pop() {
        if files.contains_key(&path) {
            continue;
        }
        // A file that is not there is an error that uv words best, with the whole tree before it.
        let content = read(&path)?;
        let text = String::from_utf8(content.clone()).ok()?;
        for line in text.replace("\\\n", " ").replace("\\\r\n", " ").lines() {
            match line_of(line) {
                Line::Plain => {}
                Line::Includes(other) => next.push(beside(&path, other)?),
                Line::Local => return None,
            }
        }
        files.insert(path, content);
    }
    // What uv itself is told, such as another index.
    files.extend(read("uv.toml").map(|content| ("uv.toml".to_owned(), content)));
    Some(files)
}

#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    /// Nothing, an option, or a package by its name or address.
    Plain,
    /// Another file of the tree.
    Includes(&'a str),
    /// Something of the tree, or what is not understood.
    Local,
}

fn line_of(line: &str) -> Line<'_> {
    let line = line.split(" #").next().unwrap_or_default().trim();
    if line.is_empty() || line.starts_with('#') {
        return Line::Plain;
    }
    for option in ["--requirement", "--constraint", "-r", "-c"] {
        if let Some(path) = line.strip_prefix(option) {
            let path = path.trim_start_matches([' ', '\t', '=']);
            // An address, or more than one word, is nothing of ours.
            return if path.contains("://") || path.contains(char::is_whitespace) {
                Line::Local
            } else {
                Line::Includes(path)
            };
        }
    }
    const HARMLESS: [&str; 10] = [
        "--index-url",
        "-i ",
        "--extra-index-url",
        "--no-index",
        "--pre",
        "--prefer-binary",
        "--only-binary",
        "--no-binary",
        "--require-hashes",
        "--trusted-host",
    ];
    if HARMLESS.iter().any(|option| line.starts_with(option)) {
        return Line::Plain;
    }
    let is_name = line.starts_with(|c: char| c.is_ascii_alphanumeric());
    let before_address = line.split_once('@').map_or(line, |(name, _)| name);
    let marker_apart = before_address.split(';').next().unwrap_or_default();
    let is_path =
        marker_apart.contains(['/', '\\']) || marker_apart.ends_with(".whl") || marker_apart.contains(".tar.");
    let is_file = line.contains("file:") || line.split_once('@').is_some_and(|(_, address)| !address.contains("://"));
    if is_name && !is_path && !is_file { Line::Plain } else { Line::Local }
}

/// The path that `other` means in the file at `path`; none if it leaves the tree.
fn beside(path: &str, other: &str) -> Option<String> {
    if other.starts_with('/') {
        return None;
    }
    let mut names: Vec<_> = path.split('/').collect();
    names.pop();
    for name in other.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PyProject {
    build_system: Option<toml::Table>,
    #[serde(default)]
    project: toml::Table,
    #[serde(default)]
    tool: Tool,
}

#[derive(Default, Deserialize)]
struct Tool {
    uv: Option<Uv>,
    poetry: Option<toml::Table>,
}

#[derive(Deserialize)]
struct Uv {
    package: Option<bool>,
    workspace: Option<toml::Value>,
    #[serde(default)]
    sources: toml::Table,
}

/// The project file and its lock; none if the project itself, or another of the tree, is a package to install.
fn project(read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<BTreeMap<String, Vec<u8>>> {
    let content = read("pyproject.toml")?;
    let project: PyProject = toml::from_str(std::str::from_utf8(&content).ok()?).ok()?;
    let uv = project.tool.uv;
    let said = uv.as_ref().and_then(|uv| uv.package);
    let has_neighbours = uv.as_ref().is_some_and(|uv| {
        let is_local = |source: &toml::Value| {
            let text = source.to_string();
            text.contains("path") || text.contains("workspace")
        };
        uv.workspace.is_some() || uv.sources.values().any(is_local)
    });
    if said.unwrap_or(project.build_system.is_some()) || has_neighbours {
        return None;
    }
    Some(present(&["pyproject.toml", "uv.lock", "uv.toml"], read))
}

/// The project file and its lock; none if the lock names folders of the tree, or if the project has to be installed
/// itself to be found: with programs of its own, or with its packages elsewhere than at the root of the tree.
fn poetry(read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<BTreeMap<String, Vec<u8>>> {
    let files = present(&["poetry.lock", "pyproject.toml"], read);
    let text = |file: &str| std::str::from_utf8(files.get(file)?).ok();
    let project: PyProject = toml::from_str(text("pyproject.toml")?).ok()?;
    let lock = text("poetry.lock")?;
    let is_local = ["type = \"directory\"", "type = \"file\""].iter().any(|kind| lock.contains(kind));
    let poetry = project.tool.poetry.unwrap_or_default();
    let name = poetry.get("name").or(project.project.get("name")).and_then(toml::Value::as_str).unwrap_or_default();
    let source = format!("src/{}/__init__.py", name.to_lowercase().replace(['-', '.'], "_"));
    let is_installed = poetry.get("package-mode").and_then(toml::Value::as_bool) != Some(false)
        && (["packages", "scripts", "plugins"].iter().any(|key| poetry.contains_key(*key))
            || ["scripts", "entry-points"].iter().any(|key| project.project.contains_key(*key))
            || read(&source).is_some());
    (!is_local && !is_installed).then_some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(packages: PythonPackages, tree: &[(&str, &str)], expect: Option<&[&str]>) {
        let read = |path: &str| tree.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes().to_vec());
        match (inputs(packages, &read), expect) {
            (Inputs::Files(files), Some(expect)) => assert_eq!(files.keys().collect::<Vec<_>>(), expect),
            (Inputs::Tree, None) => {}
            (inputs, expect) => panic!("{inputs:?} instead of {expect:?}"),
        }
    }

    fn check_line(line: &str, expect: Option<&[&str]>) {
        check(PythonPackages::Requirements, &[("requirements.txt", line), ("x.txt", "a"), ("d/y.txt", "")], expect);
    }

    #[test]
    fn plain_requirements_stand_alone() {
        let alone: Option<&[&str]> = Some(&["requirements.txt"]);
        for line in [
            "",
            "# note",
            "flask",
            "flask==3.1",
            "flask[async]>=3,<4 # note",
            "a; python_version < '3.9'",
            "a==1 --hash=sha256:00",
            "a==1 \\\n    --hash=sha256:00",
            "-i https://example.org/simple",
            "--extra-index-url https://example.org/simple",
            "--pre",
            "a @ https://example.org/a.whl",
            "a @ git+https://example.org/a.git@v1",
            "--only-binary :all:",
        ] {
            check_line(line, alone);
        }
    }

    #[test]
    fn what_is_included_counts() {
        check_line("-r x.txt", Some(&["requirements.txt", "x.txt"]));
        check_line("-rx.txt\n--constraint=./d/../d/y.txt", Some(&["d/y.txt", "requirements.txt", "x.txt"]));
        check_line("-r requirements.txt", Some(&["requirements.txt"]));
        let nested =
            [("requirements.txt", "-r d/a.txt"), ("d/a.txt", "-r b.txt\n-c ../c.txt"), ("d/b.txt", ""), ("c.txt", "")];
        check(PythonPackages::Requirements, &nested, Some(&["c.txt", "d/a.txt", "d/b.txt", "requirements.txt"]));
        let with_settings = [("requirements.txt", "a"), ("uv.toml", "")];
        check(PythonPackages::Requirements, &with_settings, Some(&["requirements.txt", "uv.toml"]));
    }

    #[test]
    fn what_is_of_the_tree_takes_the_tree() {
        for line in [
            ".",
            "-e .",
            "--editable ./lib",
            "./lib",
            "lib/",
            "a.whl",
            "a @ file:///app/a",
            "a @ ./a",
            "-r gone.txt",
            "-r ../up.txt",
            "-r /etc/x",
            "-r https://example.org/r.txt",
            "-f ./wheels",
            "--find-links wheels",
            "--what",
        ] {
            check_line(line, None);
        }
    }

    #[test]
    fn a_project_of_poetry_stands_alone_unless_it_has_to_be_installed() {
        let lock = ("poetry.lock", "[[package]]\nname = \"a\"\n");
        let check = |text: &str, more: &[(&str, &str)], expect| {
            check(PythonPackages::Poetry, &[&[("pyproject.toml", text), lock], more].concat(), expect);
        };
        let alone: Option<&[&str]> = Some(&["poetry.lock", "pyproject.toml"]);
        check("[tool.poetry]\nname = 'my-app'", &[], alone);
        check("[project]\nname = 'my-app'\n[build-system]\nrequires = []", &[], alone);
        check("[tool.poetry]\nname = 'My-App'", &[("src/my_app/__init__.py", "")], None);
        check("[project]\nname = 'a.b'", &[("src/a_b/__init__.py", "")], None);
        check("[tool.poetry]\npackages = [{ include = 'x' }]", &[], None);
        check("[tool.poetry]\npackage-mode = false\npackages = [{ include = 'x' }]", &[], alone);
        check("[tool.poetry.scripts]\nserve = 'x:y'", &[], None);
        check("[project.scripts]\nserve = 'x:y'", &[], None);
        check("not toml", &[], None);
        let local = ("poetry.lock", "[package.source]\ntype = \"directory\"\nurl = \"lib\"\n");
        super::tests::check(PythonPackages::Poetry, &[("pyproject.toml", ""), local], None);
    }

    #[test]
    fn what_is_built_by_setup_takes_the_tree() {
        check(PythonPackages::Setup, &[("setup.py", "")], None);
        check(PythonPackages::Project, &[("pyproject.toml", "[project]\nname = 'a'")], Some(&["pyproject.toml"]));
        let pipenv = [("Pipfile", ""), ("Pipfile.lock", "{}"), ("setup.py", "")];
        check(PythonPackages::Pipenv, &pipenv, Some(&["Pipfile", "Pipfile.lock"]));
    }

    #[test]
    fn a_project_stands_alone_unless_it_is_a_package() {
        let check =
            |text: &str, expect| check(PythonPackages::Uv, &[("pyproject.toml", text), ("uv.lock", "")], expect);
        let alone: Option<&[&str]> = Some(&["pyproject.toml", "uv.lock"]);
        check("[project]\nname = 'a'", alone);
        check("[tool.uv.sources]\na = { git = 'https://example.org/a' }", alone);
        check("[build-system]\nrequires = []\n[tool.uv]\npackage = false", alone);
        check("[build-system]\nrequires = []", None);
        check("[tool.uv]\npackage = true", None);
        check("[tool.uv.workspace]\nmembers = ['x']", None);
        check("[tool.uv.sources]\na = { path = 'a' }", None);
        check("[tool.uv.sources]\na = [{ workspace = true }]", None);
        check("not toml", None);
    }
}
