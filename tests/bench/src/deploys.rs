//! What visitors notice of deploys.

use std::time::Duration;

use flynn_rig::{Rig, eventually};
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::load::{self, Load, Paths};

const DEPLOYS: usize = 20;
/// The deploy during which the control plane is killed.
const KILL_IN: usize = 10;
/// How long after its beginning, which takes a third of a second and more.
const IN_THE_MIDDLE: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(60);
const RATE: u32 = 300;

/// An app that ends at once when it is told to, whatever it is doing.
const SERVER: &str = r#"
import http.server, os, signal, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(2)
        body = b"VERSION\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, form, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
Server(("", int(os.environ["PORT"])), Handler).serve_forever()
"#;

/// Requests that failed during twenty deploys in a row under an open loop of 300 requests a second, of which some
/// keep their connection, some have one of their own and some take two seconds.
pub(crate) fn failed_requests(_: usize) -> Value {
    let mut rig = Rig::start();
    let checkout = rig.create("busy");
    checkout.write("Procfile", "web: exec python3 server.py\n");
    let version = |number: usize| SERVER.replace("VERSION", &number.to_string());
    checkout.write("server.py", &version(0));
    checkout.commit("version 0");
    checkout.push().expect("the first push");

    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (stop, stopped) = watch::channel(());
    let paths = Paths { quick: "/", slow: "/slow" };
    let load = Load { router: rig.router(), host: "busy.localhost".to_owned(), rate: RATE, paths };
    let visitors = runtime.spawn(load::run(load, stopped));
    for number in 1..=DEPLOYS {
        checkout.write("server.py", &version(number));
        checkout.commit(&format!("version {number}"));
        if number == KILL_IN {
            std::thread::scope(|scope| {
                let push = scope.spawn(|| checkout.push());
                std::thread::sleep(IN_THE_MIDDLE);
                assert!(!push.is_finished(), "the control plane is to be killed during a deploy");
                rig.kill_flynnd();
                // Its pusher sees the connection break.
                drop(push.join());
            });
            rig.start_flynnd();
        }
        eventually("the version is deployed", LIMIT, || {
            let pushed = checkout.push();
            if pushed.code == Some(0) {
                return Ok(());
            }
            eprintln!("    deploy {number} is tried again: {}", pushed.stderr.lines().last().unwrap_or_default());
            Err(pushed)
        });
        let page = rig.page("busy", "/").unwrap();
        assert_eq!(page.body.trim_end(), number.to_string(), "the last version answers");
    }
    drop(stop);
    let tally = runtime.block_on(visitors).unwrap();
    eprintln!("    {} requests, {} answered", tally.sent, tally.answered);
    for (failure, count) in &tally.failures {
        eprintln!("    {count} x {failure}");
    }
    rig.down();
    Value::from(tally.failed())
}
