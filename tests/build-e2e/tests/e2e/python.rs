use std::time::Duration;

use flynn_core::noun::{BuildOutput, BuildState};
use flynn_core::port::Runtime;

use crate::app::App;
use crate::machine::Machine;

const REQUIREMENTS: &str = "flask==3.1.2
gunicorn==23.0.0
numpy==2.2.6
pyyaml==6.0.2
redis==5.2.1
requests==2.32.5
";

fn app(greeting: &str) -> String {
    format!(
        "import os, flask, numpy, yaml, requests
app = flask.Flask(__name__)

@app.get('/')
def index():
    total = int(numpy.arange(5).sum())
    return f'{greeting} {{total}} {{yaml.safe_load(\"[1]\")}} {{os.getuid()}} {{flask.__spec__.cached is not None}}'
"
    )
}

fn succeeded(state: BuildState) -> BuildOutput {
    match state {
        BuildState::Succeeded(output) => output,
        other => panic!("{other:?}"),
    }
}

const PROCFILE: (&str, &str) = ("Procfile", "web: gunicorn --bind 0.0.0.0:$PORT app:app\n");

#[tokio::test(flavor = "multi_thread")]
async fn a_flask_app_is_built_and_runs() {
    let machine = Machine::new().await;
    let first = app("hello");
    let files = [PROCFILE, ("requirements.txt", REQUIREMENTS), ("app.py", &first), (".python-version", "3.12\n")];
    let output = succeeded(machine.build(&files).await);
    assert!(machine.lines.has("asks for Python 3.12"), "the author is told");
    let running = App::start(&machine, &output).await;
    let answer = running.get(&machine, "/").await;
    assert!(answer.ends_with("hello 10 [1] 1000 True"), "{answer}");
    running.stop(&machine).await;

    assert_eq!(succeeded(machine.build(&files).await), output);

    let second = app("good day");
    let changed = [files[0], files[1], ("app.py", &*second), files[3]];
    let output_two = succeeded(machine.build(&changed).await);
    let (one, two) = (machine.layers(output.image).await, machine.layers(output_two.image).await);
    assert_eq!(one.split_last().unwrap().1, two.split_last().unwrap().1, "only the source is another");
    let running = App::start(&machine, &output_two).await;
    let answer = running.get(&machine, "/").await;
    assert!(answer.ends_with("good day 10 [1] 1000 True"), "{answer}");
    running.stop(&machine).await;

    machine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_with_a_lock_is_built_and_faults_are_named() {
    let machine = Machine::new().await;
    let project = |dependency: &str| {
        format!("[project]\nname = 'x'\nversion = '1'\nrequires-python = '>=3.9'\ndependencies = ['{dependency}']\n")
    };
    let code = "import http.server, iniconfig, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(iniconfig.__name__.encode())
http.server.HTTPServer(('', int(os.environ['PORT'])), Handler).serve_forever()
";
    let locked = project("iniconfig==2.1.0");
    let files =
        [("Procfile", "web: python serve.py"), ("pyproject.toml", &locked), ("uv.lock", LOCK), ("serve.py", code)];
    let output = succeeded(machine.build(&files).await);
    let running = App::start(&machine, &output).await;
    assert!(running.get(&machine, "/").await.ends_with("iniconfig"));
    running.stop(&machine).await;

    let fails = async |files: &[(&str, &str)], words: &str| {
        let BuildState::Failed { step, reason } = machine.build(files).await else { panic!("it succeeded") };
        assert_eq!(step, "install dependencies");
        assert!(reason.contains(words), "{reason}");
    };
    let other = project("iniconfig==2.0.0");
    fails(&[files[0], ("pyproject.toml", &other), files[2]], "lockfile").await;
    fails(&[files[0], files[1], ("uv.lock", "not toml")], "uv.lock").await;
    fails(&[files[0], ("requirements.txt", "flask==99\n")], "flask==99").await;

    // Cancelled in the middle of an installation, and begun again after its worker died there.
    let large = [files[0], ("requirements.txt", "scipy==1.15.3\n"), files[3]];
    let build = machine.place(&large).await;
    let installing = async || {
        while machine.runtime.list().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    machine.working(installing()).await;
    let state = machine
        .working(async {
            installing().await;
            machine.cancel(build).await;
            machine.ended(build).await
        })
        .await;
    assert_eq!(state, BuildState::Cancelled);
    machine.close().await;
}

/// Written by uv for the project above.
const LOCK: &str = include_str!("locks/uv.lock");
