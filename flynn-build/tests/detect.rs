//! What is recognised, and what an author reads who is not understood.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use flynn_build::detect::{Evidence, Language, NodePlan, NodeTool, PythonPackages, PythonPlan, PythonServe, detect};
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
        Language::Python(python) => format!("python {}", python_words(python, &version(&python.version))),
        Language::Node(node) => format!("node {}", node_words(node, &version(&node.version))),
        Language::Go(go) => format!("go {}{}", go.module, if go.vendored { " vendored" } else { "" }),
        Language::Site(site) => format!("site {}", site.root.as_ref().map_or("/", |root| root.as_str())),
        Language::Procfile => "procfile".to_owned(),
        _ => "unknown".to_owned(),
    };
    let processes: Vec<_> = plan.processes.iter().map(|(name, command)| format!("{name}={command}")).collect();
    [vec![language], processes, plan.notes].concat().join("; ")
}

fn python_words(python: &PythonPlan, version: &str) -> String {
    let packages = match python.packages {
        PythonPackages::Requirements => "requirements",
        PythonPackages::Uv => "uv",
        PythonPackages::Poetry => "poetry",
        PythonPackages::Pipenv => "pipenv",
        PythonPackages::Project => "project",
        PythonPackages::Setup => "setup",
    };
    let serve = match &python.serve {
        Some(PythonServe::Django { .. }) => " django".to_owned(),
        Some(PythonServe::Wsgi(app)) => format!(" wsgi {app}"),
        Some(PythonServe::Asgi(app)) => format!(" asgi {app}"),
        None => String::new(),
    };
    format!("{packages} {version}{serve}")
}

fn node_words(node: &NodePlan, version: &str) -> String {
    let tool = match node.packages.tool {
        NodeTool::Npm => "",
        NodeTool::YarnClassic => "yarn1 ",
        NodeTool::YarnBerry => "berry ",
        NodeTool::Pnpm => "pnpm ",
    };
    let format = node.packages.format.map(|format| format!("{format} ")).unwrap_or_default();
    let asked = node.packages.asked.as_ref().map(|asked| format!("{} ", asked.text)).unwrap_or_default();
    let locked = if node.packages.lock.is_some() { "locked" } else { "unlocked" };
    let build = if node.build.is_some() { " builds" } else { "" };
    let site = node.site.as_ref().map(|site| format!(" site {}", site.root.as_ref().map_or("/", |root| root.as_str())));
    format!("{tool}{format}{asked}{locked} {version}{build}{}", site.unwrap_or_default())
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
    check(&[("pyproject.toml", ""), WEB], "pyproject.toml: there is no table `[project]`…");
    check(
        &[("pyproject.toml", "[tool.ruff]"), ("setup.py", ""), WEB],
        "python setup any; web=run; setup.py holds no versions…",
    );
    check(
        &[("pyproject.toml", "[project]\nname = 'a'"), WEB],
        "python project any; web=run; there is no uv.lock, so that each build may install other versions…",
    );
    check(&[("pyproject.toml", "[tool.poetry]"), WEB], "pyproject.toml: there is no poetry.lock beside it…");
    check(&[("pyproject.toml", ""), ("poetry.lock", ""), WEB], "python poetry any; web=run");
    check(&[("Pipfile", ""), ("Pipfile.lock", "{}"), WEB], "python pipenv any; web=run");
    check(
        &[("Pipfile", ""), ("Pipfile.lock", "{}"), ("requirements.txt", ""), WEB],
        "python pipenv any; web=run; Pipfile.lock is used, and requirements.txt is not",
    );
    check(&[("Pipfile", ""), WEB], "Pipfile: there is no Pipfile.lock beside it: run `pipenv lock`…");
    check(&[("Pipfile.lock", "{}"), WEB], "Pipfile.lock: there is no Pipfile beside it");
    check(&[("poetry.lock", ""), WEB], "poetry.lock: there is no pyproject.toml beside it");
    check(&[("uv.lock", ""), WEB], "uv.lock: there is no pyproject.toml beside it");
}

#[test]
fn an_app_of_python_says_what_is_served() {
    let list = ("requirements.txt", "");
    check(&[list, ("app.py", "app = Flask(__name__)")], "python requirements any wsgi app:app");
    check(&[list, ("main.py", "app = FastAPI()")], "python requirements any asgi main:app");
    let manage = ("manage.py", "# django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.settings')");
    check(&[list, manage, ("a/wsgi.py", "")], "python requirements any django");
    check(
        &[list, ("run.py", "app = Flask(__name__)")],
        "it is not said how to start the app: add a Procfile with a line such as `web: python serve.py --port $PORT`. \
         Without one, these were looked for: manage.py of Django; a line such as…",
    );
}

#[test]
fn a_merge_that_was_not_finished_is_named() {
    let marks = "{\n<<<<<<< HEAD\n=======\n>>>>>>> x\n}";
    let message = "it has the marks of a merge that was not finished…";
    for file in ["package-lock.json", "yarn.lock", "pnpm-lock.yaml"] {
        check(&[("package.json", "{}"), (file, marks), WEB], &format!("{file}: {message}"));
    }
    for (file, beside) in
        [("uv.lock", "pyproject.toml"), ("poetry.lock", "pyproject.toml"), ("Pipfile.lock", "Pipfile")]
    {
        check(&[(beside, ""), (file, marks), WEB], &format!("{file}: {message}"));
    }
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
    check(
        &[("Pipfile", "[requires]\npython_version = '3.12'"), ("Pipfile.lock", ""), WEB],
        "python pipenv 3.12 (Pipfile); web=run",
    );
    check(
        &[("pyproject.toml", "[tool.poetry.dependencies]\npython = '^3.11'"), ("poetry.lock", ""), WEB],
        "python poetry ^3.11 (pyproject.toml); web=run",
    );
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
    check(&[("package.json", "{}"), WEB, ("bun.lock", "")], "bun.lock: only npm, yarn and pnpm are supported…");
    check(&[("package.json", r#"{"main": "./app"}"#), lock, ("app.js", "")], "node locked any; web=node app.js");
    check(
        &[("package.json", r#"{"main": "lib"}"#), lock, ("lib/index.js", "")],
        "node locked any; web=node lib/index.js",
    );
    check(&[("package.json", r#"{"main": "gone.js"}"#), lock, ("index.js", "")], "node locked any; web=node index.js");
    check(&[("package.json", r#"{"main": "a;b"}"#), lock, ("a;b", "")], "it is not said how to start the app…");
}

#[test]
fn what_installs_is_known_by_its_lock_or_said() {
    const CLASSIC: (&str, &str) = ("yarn.lock", "# THIS IS AN AUTOGENERATED FILE.\n# yarn lockfile v1\n\n");
    const BERRY: (&str, &str) = ("yarn.lock", "# This file\n\n__metadata:\n  version: 8\n  cacheKey: 10c0\n");
    const PNPM: (&str, &str) = ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n");
    const PLAIN: (&str, &str) = ("package.json", "{}");
    let says = |manager: &str| format!(r#"{{"packageManager": "{manager}"}}"#);
    check(&[PLAIN, CLASSIC, WEB], "node yarn1 locked any; web=run");
    check(&[PLAIN, BERRY, WEB], "node berry 8 locked any; web=run");
    check(&[PLAIN, ("yarn.lock", "__metadata:\n  version: 6\n"), WEB], "node berry 6 locked any; web=run");
    check(&[PLAIN, PNPM, WEB], "node pnpm 9 locked any; web=run");
    check(&[PLAIN, ("pnpm-lock.yaml", "lockfileVersion: 5.4\n"), WEB], "node pnpm 5 locked any; web=run");
    check(&[PLAIN, ("pnpm-lock.yaml", ""), WEB], "node pnpm locked any; web=run");
    let exact = says("pnpm@9.1.0+sha512.abcdef");
    check(&[("package.json", &exact), PNPM, WEB], "node pnpm 9 9.1.0 locked any; web=run");
    check(
        &[("package.json", &exact), WEB],
        "node pnpm 9.1.0 unlocked any; web=run; there is no pnpm-lock.yaml, so that each build…",
    );
    check(
        &[("package.json", &says("yarn@4.1.0")), WEB],
        "node berry 4.1.0 unlocked any; web=run; there is no yarn.lock…",
    );
    check(&[("package.json", &says("yarn@1.22.0")), CLASSIC, WEB], "node yarn1 1.22.0 locked any; web=run");
    check(
        &[PLAIN, BERRY, (".yarnrc.yml", "yarnPath: .yarn/releases/yarn-4.2.0.cjs\n"), WEB],
        "node berry 8 4.2.0 locked any; web=run",
    );
    let engines = ("package.json", r#"{"engines": {"yarn": ">=1.22"}}"#);
    check(&[engines, BERRY, WEB], "node berry 8 >=1.22 locked any; web=run");
    check(
        &[("package.json", &exact), PNPM, ("package-lock.json", "{}"), WEB],
        "node pnpm 9 9.1.0 locked any; web=run; pnpm-lock.yaml is used, as packageManager says, and package-lock.json is not",
    );
    check(
        &[("package.json", &exact), CLASSIC, WEB],
        "node yarn1 locked any; web=run; yarn.lock is used, and not the `pnpm` of packageManager",
    );
    check(&[("package.json", &says("cargo@1")), WEB], "package.json: `packageManager` is `cargo@1`: expected npm…");
}

#[test]
fn a_build_that_makes_a_site_is_served() {
    let lock = ("package-lock.json", "{}");
    let vite = r#"{"scripts": {"dev": "vite", "build": "vite build"}, "devDependencies": {"vite": "7"}}"#;
    check(&[("package.json", vite), lock, ("index.html", "")], "node locked any builds site dist; vite makes a site…");
    check(&[("package.json", vite), lock, ("server.js", "")], "node locked any builds; web=node server.js");
    check(&[("package.json", vite), lock, WEB], "node locked any builds; web=run");
    check(&[("package.json", vite), lock, ("Staticfile", "root: out")], "node locked any builds site out");
    check(&[("package.json", vite), lock, ("Staticfile", "")], "Staticfile: name the folder that the build fills…");
    let react = r#"{"scripts": {"start": "react-scripts start", "build": "react-scripts build"},
        "dependencies": {"react-scripts": "5"}}"#;
    check(&[("package.json", react), lock], "node locked any builds site build; react-scripts makes a site…");
    let own = react.replace("react-scripts start", "node server.mjs");
    check(&[("package.json", &own), lock], "node locked any builds; web=npm start");
    let kit = vite.replace("\"vite\": \"7\"", "\"vite\": \"7\", \"@sveltejs/kit\": \"2\"");
    check(&[("package.json", &kit), lock], "it is not said how to start the app…");
    let nuxt = r#"{"scripts": {"build": "nuxt build"}, "dependencies": {"nuxt": "4"}}"#;
    check(&[("package.json", nuxt), lock], "node locked any builds; web=node .output/server/index.mjs");
}

#[test]
fn go_is_known_by_its_module() {
    check(&[("go.mod", "// x\nmodule example.org/hello // y\n\ngo 1.22\n")], "go example.org/hello");
    check(&[("go.mod", "module \"a.b/c\""), ("vendor/modules.txt", ""), WEB], "go a.b/c vendored; web=run");
    check(&[("go.mod", "go 1.22\n")], "go.mod: there is no line such as `module example.org/hello`");
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
        "no language was recognised. Looked for: python (requirements.txt, uv.lock, poetry.lock, \
         Pipfile.lock, Pipfile, pyproject.toml, setup.py); nodejs (package.json); go (go.mod); static (Staticfile, index.html, public/index.html); procfile (Procfile)",
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
            ".nvmrc", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "Pipfile", "Pipfile.lock", "setup.py", "go.mod",
            "manage.py", "app.py", ".python-version", "runtime.txt", "Staticfile", "index.html", "project.toml",
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
