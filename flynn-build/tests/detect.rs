//! What is recognised, and what an author reads who is not understood.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use flynn_build::detect::{Evidence, Language, NodePackages, PythonPackages, detect};
use proptest::prelude::*;

fn evidence(files: &[(&str, &str)]) -> Evidence {
    files.iter().fold(Evidence::default(), |evidence, (path, text)| evidence.with(*path, text))
}

/// A line that says what the plan is, or the error.
fn summary(files: &[(&str, &str)]) -> String {
    let plan = match detect(&evidence(files)) {
        Ok(plan) => plan,
        Err(error) => return error.to_string(),
    };
    let version = |version: &Option<flynn_build::detect::VersionRequest>| {
        version.as_ref().map_or("any".to_owned(), |version| format!("{} ({})", version.text, version.file))
    };
    let language = match &plan.language {
        Language::Python(python) => {
            let packages = match python.packages {
                PythonPackages::Requirements => "requirements",
                PythonPackages::Uv => "uv",
            };
            format!("python {packages} {}", version(&python.version))
        }
        Language::Node(node) => {
            let packages = match node.packages {
                NodePackages::NpmLocked => "locked",
                NodePackages::NpmUnlocked => "unlocked",
            };
            let builds = if node.builds { " builds" } else { "" };
            format!("node {packages} {}{builds}", version(&node.version))
        }
        Language::Site(site) => format!("site {}", site.root.as_ref().map_or("/", |root| root.as_str())),
        Language::Procfile => "procfile".to_owned(),
        _ => "unknown".to_owned(),
    };
    let processes: Vec<_> = plan.processes.iter().map(|(name, command)| format!("{name}={command}")).collect();
    [vec![language], processes, plan.notes].concat().join("; ")
}

#[track_caller]
fn check(files: &[(&str, &str)], expect: &str) {
    let got = summary(files);
    assert!(got == expect || (expect.ends_with('…') && got.starts_with(expect.trim_end_matches('…'))), "{got}");
}

const WEB: (&str, &str) = ("Procfile", "web: run");

#[test]
fn python_is_known_by_its_packages() {
    check(&[("requirements.txt", ""), WEB], "python requirements any; web=run");
    check(&[("pyproject.toml", ""), ("uv.lock", ""), WEB], "python uv any; web=run");
    check(
        &[("requirements.txt", ""), ("pyproject.toml", ""), ("uv.lock", ""), WEB],
        "python uv any; web=run; uv.lock is used, and requirements.txt is not",
    );
    check(&[("pyproject.toml", ""), WEB], "pyproject.toml: there is no uv.lock beside it…");
    check(&[("pyproject.toml", ""), ("poetry.lock", ""), WEB], "pyproject.toml: poetry.lock is not supported…");
    check(&[("uv.lock", ""), WEB], "uv.lock: there is no pyproject.toml beside it");
    check(&[("requirements.txt", "")], "it is not said how to start the app: add a Procfile…");
}

#[test]
fn python_versions_have_an_order() {
    let app = ("requirements.txt", "");
    check(&[app, WEB, (".python-version", "# x\n3.12\n")], "python requirements 3.12 (.python-version); web=run");
    check(&[app, WEB, ("runtime.txt", "python-3.11.4\n")], "python requirements 3.11.4 (runtime.txt); web=run");
    check(
        &[app, WEB, ("runtime.txt", "python-3.11.4"), (".python-version", "3.12")],
        "python requirements 3.12 (.python-version); web=run; .python-version is used, and runtime.txt is not",
    );
    check(
        &[app, WEB, ("pyproject.toml", "[project]\nrequires-python = '>=3.11'")],
        "python requirements >=3.11 (pyproject.toml); web=run",
    );
    for bad in ["", "3", "3.12\n3.11", "pypy3.10", "3.12.4.5", "3.x", "3.12; rm"] {
        check(&[app, WEB, (".python-version", bad)], ".python-version: expected one line…");
    }
    check(&[app, WEB, ("runtime.txt", "3.12")], "runtime.txt: expected one line such as `python-3.12`…");
    check(&[app, WEB, ("pyproject.toml", "[project")], "pyproject.toml: TOML parse error…");
}

#[test]
fn node_is_known_by_its_package() {
    let lock = ("package-lock.json", "{}");
    check(&[("package.json", r#"{"scripts": {"start": "x"}}"#), lock], "node locked any; web=npm start");
    check(&[("package.json", "{}"), lock, ("server.js", "")], "node locked any; web=node server.js");
    check(&[("package.json", "{}"), lock, WEB], "node locked any; web=run");
    check(&[("package.json", "{}"), lock], "it is not said how to start the app…");
    check(&[("package.json", r#"{"scripts": {"build": "x"}}"#), lock, WEB], "node locked any builds; web=run");
    check(&[("package.json", "{}"), WEB], "node unlocked any; web=run; there is no package-lock.json…");
    check(&[("package.json", "{"), lock, WEB], "package.json: EOF while parsing…");
    check(&[("package.json", "{}"), lock, WEB, ("yarn.lock", "")], "yarn.lock: package-lock.json is there as well…");
    check(&[("package.json", "{}"), WEB, ("pnpm-lock.yaml", "")], "pnpm-lock.yaml: only npm is supported…");
}

#[test]
fn node_versions_have_an_order() {
    let lock = ("package-lock.json", "{}");
    let engines = ("package.json", r#"{"engines": {"node": ">=20 <23"}}"#);
    check(&[engines, lock, WEB], "node locked >=20 <23 (package.json); web=run");
    check(&[("package.json", "{}"), lock, WEB, (".nvmrc", "v22.1.0\n")], "node locked v22.1.0 (.nvmrc); web=run");
    check(&[("package.json", "{}"), lock, WEB, (".nvmrc", "lts/*")], "node locked lts/* (.nvmrc); web=run");
    check(
        &[engines, lock, WEB, (".nvmrc", "22")],
        "node locked >=20 <23 (package.json); web=run; engines.node of package.json is used, and .nvmrc is not",
    );
    check(&[("package.json", "{}"), lock, WEB, (".nvmrc", "$(x)")], ".nvmrc: expected one line…");
}

#[test]
fn a_site_is_what_nothing_else_is() {
    check(&[("index.html", "")], "site /");
    check(&[("public/index.html", "")], "site public");
    check(&[("index.html", ""), ("public/index.html", "")], "site /");
    check(&[("Staticfile", "# x\nroot: dist\n"), ("dist/index.html", "")], "site dist");
    check(&[("Staticfile", "root: .\n"), ("index.html", "")], "site /");
    check(&[("Staticfile", "root: dist\n")], "Staticfile: there is no dist/index.html…");
    check(&[("Staticfile", "\nroute: x\n"), ("index.html", "")], "Staticfile: line 2: only `root: FOLDER`…");
    check(&[("Staticfile", "root: ../x\n")], "Staticfile: line 1: its path has `..` in it");
    check(&[("index.html", ""), WEB], "procfile; web=run");
    check(&[("index.html", ""), ("Procfile", "worker: run")], "site /; worker=run");
    check(&[("index.html", ""), ("package.json", "{}"), ("package-lock.json", ""), WEB], "node locked any; web=run");
}

#[test]
fn scripts_alone_need_a_procfile() {
    check(&[WEB, ("run", "")], "procfile; web=run");
    check(&[("Procfile", "web run")], "Procfile line 1: expected `NAME: COMMAND`, such as `web: ./serve`");
    check(&[("Procfile", "\u{feff}web: run")], "procfile; web=run");
}

#[test]
fn who_is_not_understood_reads_what_was_looked_for() {
    check(
        &[("main.c", "")],
        "no language was recognised. Looked for: python (requirements.txt, uv.lock, pyproject.toml); \
         nodejs (package.json); static (Staticfile, index.html, public/index.html); procfile (Procfile)",
    );
}

#[test]
fn of_two_languages_one_is_chosen() {
    let both = [("requirements.txt", ""), ("package.json", "{}"), ("package-lock.json", "{}"), WEB];
    check(
        &both,
        "python (requirements.txt) and nodejs (package.json) are all possible. Choose one in project.toml:\n\n\
         [[io.buildpacks.group]]\nid = \"python\"\n",
    );
    let choose = |id: &str| {
        let text = format!("[[io.buildpacks.group]]\nid = \"{id}\"\n");
        summary(&[&both[..], &[("project.toml", &text)]].concat())
    };
    assert_eq!(choose("python"), "python requirements any; web=run");
    assert_eq!(choose("flynn/nodejs"), "node locked any; web=run");
    assert_eq!(choose("procfile"), "procfile; web=run");
    let missing = "project.toml chooses static, but there is none of Staticfile, index.html, public/index.html";
    assert_eq!(choose("static"), missing);
    assert!(choose("cobol").starts_with("project.toml: there is no buildpack `cobol`: choose one of python"));
    check(&[("project.toml", "[_]\nschema-version = '0.2'\n"), WEB], "procfile; web=run");
    let site = [("requirements.txt", ""), ("Staticfile", ""), ("index.html", "")];
    check(&site, "python (requirements.txt) and static (Staticfile) are all possible…");
}

proptest! {
    /// The same files in another order are the same evidence, and no content makes it fail in another way.
    #[test]
    fn any_content_is_decided_upon(
        files in proptest::collection::vec((proptest::sample::select(vec![
            "Procfile", "package.json", "package-lock.json", "requirements.txt", "pyproject.toml", "uv.lock",
            ".nvmrc", ".python-version", "runtime.txt", "Staticfile", "index.html", "project.toml",
        ]), proptest::collection::vec(any::<u8>(), 0..40)), 0..8)
    ) {
        let gather = |files: &[(&str, Vec<u8>)]| {
            files.iter().fold(Evidence::default(), |evidence, (path, bytes)| evidence.with(*path, bytes))
        };
        let mut files = files;
        files.sort();
        files.dedup_by(|a, b| a.0 == b.0);
        let forwards = gather(&files);
        files.reverse();
        let backwards = gather(&files);
        prop_assert_eq!(detect(&forwards), detect(&backwards));
    }
}
