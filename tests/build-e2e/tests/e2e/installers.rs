//! Apps whose packages come by other tools than npm and uv.

use flynn_core::noun::{BuildOutput, BuildState};

use crate::app::App;
use crate::machine::Machine;

const CLASSIC: &str = include_str!("locks/yarn-classic.lock");
const BERRY: &str = include_str!("locks/yarn-berry.lock");
const PNPM: &str = include_str!("locks/pnpm-lock.yaml");
const POETRY: &str = include_str!("locks/poetry.lock");
const PIPENV: &str = include_str!("locks/Pipfile.lock");

/// Says which packages it finds, and what it runs as.
const SERVER: &str = "const has = (name) => { try { require(name); return true } catch { return false } };
    require('http').createServer((_, response) => {
      response.end([has('ms'), has('wrappy'), process.env.NODE_ENV, process.getuid()].join(' '));
    }).listen(process.env.PORT);";

fn package(ms: &str, build: bool) -> String {
    let build = if build { r#""build": "node -e \"require('wrappy')\"", "# } else { "" };
    format!(
        r#"{{ "name": "installed", "private": true, "scripts": {{ {build}"start": "node server.js" }},
            "dependencies": {{ "ms": "{ms}" }}, "devDependencies": {{ "wrappy": "1.0.2" }} }}"#
    )
}

async fn built(machine: &Machine, files: &[(&str, &str)]) -> BuildOutput {
    match machine.build(files).await {
        BuildState::Succeeded(output) => output,
        other => panic!("{other:?}"),
    }
}

async fn answers(machine: &Machine, output: &BuildOutput, expect: &str) {
    let app = App::start(machine, output).await;
    let answer = app.get(machine, "/").await;
    app.stop(machine).await;
    assert!(answer.ends_with(expect), "{answer}");
}

async fn fails(machine: &Machine, files: &[(&str, &str)], step: &str, words: &str) {
    let BuildState::Failed { step: at, reason } = machine.build(files).await else { panic!("it was built") };
    assert_eq!(at, step, "{reason}");
    assert!(reason.contains(words), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn node_apps_are_installed_by_yarn_and_pnpm() {
    let machine = Machine::new().await;
    for (lock, content, build, words) in [
        ("yarn.lock", CLASSIC, true, "Your lockfile needs to be updated"),
        ("yarn.lock", BERRY, false, "The lockfile would have been modified"),
        ("pnpm-lock.yaml", PNPM, true, "not up to date with"),
    ] {
        let whole = package("2.1.3", build);
        let output = built(&machine, &[("package.json", &whole), (lock, content), ("server.js", SERVER)]).await;
        answers(&machine, &output, "true false production 1000").await;

        let changed = format!("{SERVER} // changed");
        let again = built(&machine, &[("package.json", &whole), (lock, content), ("server.js", &changed)]).await;
        let (one, two) = (machine.layers(output.image).await, machine.layers(again.image).await);
        let below = one.len() - if build { 2 } else { 1 };
        assert_eq!(one[..below], two[..below], "the packages are used again");

        let other = package("2.1.2", build);
        fails(&machine, &[("package.json", &other), (lock, content)], "install dependencies", words).await;
    }
    machine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_installed_whole() {
    const ROOT: &str = r#"{ "private": true, "packageManager": "pnpm@10.34.8",
        "scripts": { "start": "pnpm --silent --filter web start" } }"#;
    const WEB: &str = r#"{ "name": "web", "version": "1.0.0", "scripts": { "start": "node server.js" },
        "dependencies": { "ms": "2.1.3", "wrappy": "workspace:*" } }"#;
    const OWN: &str = r#"{ "name": "wrappy", "version": "1.0.0", "main": "index.js" }"#;
    let machine = Machine::new().await;
    let files = [
        ("package.json", ROOT),
        ("pnpm-workspace.yaml", "packages:\n  - packages/*\n"),
        ("packages/web/package.json", WEB),
        ("packages/web/server.js", SERVER),
        ("packages/own/package.json", OWN),
        ("packages/own/index.js", ""),
    ];
    let output = built(&machine, &files).await;
    assert!(machine.lines.has("there is no pnpm-lock.yaml"));
    answers(&machine, &output, "true true production 1000").await;
    machine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_a_build_makes_is_served_without_node() {
    const PACKAGE: &str = r#"{ "private": true, "scripts": { "build": "node build.js" },
        "devDependencies": { "wrappy": "1.0.2" } }"#;
    const BUILD: &str = "require('wrappy'); const fs = require('fs');
        if (process.env.CI) throw new Error('some make errors of warnings then');
        fs.mkdirSync('out'); fs.writeFileSync('out/index.html', 'made by the build');";
    let machine = Machine::new().await;
    let files = [("package.json", PACKAGE), ("build.js", BUILD), ("Staticfile", "root: out\n")];
    let output = built(&machine, &files).await;
    let app = App::start(&machine, &output).await;
    assert!(app.get(&machine, "/").await.ends_with("made by the build"));
    assert!(app.ask("GET /build.js HTTP/1.1").await.contains("404 Not Found"));
    app.stop(&machine).await;
    let layers = machine.layers(output.image).await.len();
    assert_eq!(layers, 4, "base, server, source and what was built");

    let elsewhere = [files[0], files[1], ("Staticfile", "root: dist\n")];
    fails(&machine, &elsewhere, "npm run build", "made no dist/index.html").await;
    machine.close().await;
}

const SERVE: &str = "import http.server, importlib.util, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        has = [name for name in ('iniconfig', 'pluggy', 'toml', 'own') if importlib.util.find_spec(name)]
        self.wfile.write(' '.join(has).encode())
http.server.HTTPServer(('', int(os.environ['PORT'])), Handler).serve_forever()
";

#[tokio::test(flavor = "multi_thread")]
async fn python_apps_are_installed_by_what_locks_them() {
    const PROJECT: &str = "[project]
name = \"locked\"
version = \"1.0.0\"
requires-python = \">=3.9\"
dependencies = [\"iniconfig==2.1.0\"]
";
    const PIPFILE: &str = "[packages]
iniconfig = \"==2.1.0\"

[dev-packages]
toml = \"==0.10.2\"

[requires]
python_version = \"3.12\"
";
    const SETUP: &str = "from setuptools import setup
setup(name='own', version='1', py_modules=['own'], install_requires=['iniconfig==2.1.0'])
";
    let machine = Machine::new().await;
    let common = [("Procfile", "web: python serve.py"), ("serve.py", SERVE)];
    let of_poetry = format!("{PROJECT}\n[tool.poetry.group.dev.dependencies]\npluggy = \"1.6.0\"\n");
    let output =
        built(&machine, &[&common[..], &[("pyproject.toml", &of_poetry), ("poetry.lock", POETRY)]].concat()).await;
    answers(&machine, &output, "\niniconfig").await;
    let torn = of_poetry.replace("2.1.0", "2.0.0");
    let files = [&common[..], &[("pyproject.toml", &torn), ("poetry.lock", POETRY)]].concat();
    fails(&machine, &files, "install dependencies", "Run `poetry lock`").await;

    let output = built(&machine, &[&common[..], &[("Pipfile", PIPFILE), ("Pipfile.lock", PIPENV)]].concat()).await;
    assert!(machine.lines.has("Pipfile asks for Python 3.12"));
    answers(&machine, &output, "\niniconfig").await;
    let torn = PIPFILE.replace("2.1.0", "2.0.0");
    let files = [&common[..], &[("Pipfile", &torn), ("Pipfile.lock", PIPENV)]].concat();
    fails(&machine, &files, "read requirements", "run `pipenv lock`").await;

    let output = built(&machine, &[&common[..], &[("pyproject.toml", PROJECT)]].concat()).await;
    assert!(machine.lines.has("there is no uv.lock"));
    answers(&machine, &output, "\niniconfig").await;
    let later = PROJECT.replace(">=3.9", ">=3.99");
    let files = [&common[..], &[("pyproject.toml", &later)]].concat();
    fails(&machine, &files, "choose Python", "requires Python >=3.99").await;

    let output = built(&machine, &[&common[..], &[("setup.py", SETUP), ("own.py", "")]].concat()).await;
    answers(&machine, &output, "\niniconfig own").await;
    machine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_apps_without_a_procfile_are_served_by_their_framework() {
    const SETTINGS: &str = "SECRET_KEY = 'x'
ALLOWED_HOSTS = ['app']
ROOT_URLCONF = 'site1.urls'
INSTALLED_APPS = ['django.contrib.staticfiles']
STATIC_URL = 'static/'
STATIC_ROOT = 'gathered'
STATICFILES_DIRS = ['assets']
";
    const URLS: &str = "import os
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path('', lambda request: HttpResponse(' '.join(os.listdir('gathered'))))]
";
    const MANAGE: &str = "import os, sys
os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
";
    const WSGI: &str = "import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')
application = get_wsgi_application()
";
    let machine = Machine::new().await;
    let flask = "import flask\napp = flask.Flask(__name__)\n@app.get('/')\ndef index():\n    return 'of Flask'\n";
    let output = built(&machine, &[("requirements.txt", "flask==3.1.2\n"), ("app.py", flask)]).await;
    assert!(machine.lines.has("the server of Flask is meant for development"));
    answers(&machine, &output, "of Flask").await;

    let files = [
        ("requirements.txt", "django==5.2.8\ngunicorn==23.0.0\n"),
        ("manage.py", MANAGE),
        ("site1/__init__.py", ""),
        ("site1/settings.py", SETTINGS),
        ("site1/urls.py", URLS),
        ("site1/wsgi.py", WSGI),
        ("assets/style.css", "p {}"),
    ];
    let output = built(&machine, &files).await;
    assert!(machine.lines.has("1 static file copied to"));
    answers(&machine, &output, "style.css").await;

    let bare = [("requirements.txt", "iniconfig==2.1.0\n"), ("main.py", "app = FastAPI()\n")];
    fails(&machine, &bare, "choose a server", "add uvicorn").await;
    machine.close().await;
}
