//! The apps that are pushed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flynn_rig::{Checkout, Rig, eventually};
use serde_json::Value;

/// A sample app of the repository.
pub(crate) fn sample(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/apps");
    root.join(name)
}

/// An app that needs nothing but Python itself: it answers each request with `text`, the name of its instance, and
/// its environment variable `NAME`.
pub(crate) fn plain(checkout: &Checkout, text: &str) {
    let server = format!(
        r#"
import http.server, os, signal, sys, time

TEXT = "{text}"

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(2)
        body = f"{{TEXT}} {{os.environ.get('FLYNN_PROCESS')}} {{os.environ.get('NAME', '-')}}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, form, *args):
        print("asked for", self.path, flush=True)

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("serving", TEXT, flush=True)
server = http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler)
server.serve_forever()
"#
    );
    checkout.write("server.py", &server);
    checkout.write("Procfile", "web: python3 server.py\ncount: sh count.sh\n");
    checkout.write("count.sh", "n=0; while true; do n=$((n+1)); echo line $n; sleep 0.05; done\n");
}

/// Waits until a page of the app says `text`.
pub(crate) fn says(rig: &Rig, app: &str, text: &str) {
    eventually(&format!("{app} says {text:?}"), Duration::from_secs(30), || match rig.page(app, "/") {
        Ok(answer) if answer.status == 200 && answer.body.contains(text) => Ok(()),
        other => Err(other),
    });
}

/// What a command prints for programs.
pub(crate) fn json(rig: &Rig, args: &[&str]) -> Value {
    let ran = rig.flynn(&[args, &["--json"]].concat());
    serde_json::from_str(ran.expect(&format!("flynn {args:?}"))).unwrap()
}
