//! The example as somebody runs it: real containers of an image, behind the router.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::print_stderr, reason = "helpers of tests")]

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flynn_rig::leaks::{Process, processes_of};
use flynn_rig::{eventually, get, left_by, program, write_layout, write_layout_of};
use flynn_runtime::machine::MachineOptions;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

struct Orchestrator {
    place: TempDir,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Orchestrator {
    fn start(count: u32) -> Self {
        let place = tempfile::Builder::new().prefix("flynn-orchestrator-").tempdir().unwrap();
        write_layout(&place.path().join("image"), "latest", "first");
        // Whoever takes the port in between makes it fail at once.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_custom-orchestrator"))
            .arg(place.path().join("image"))
            .args([count.to_string(), address.to_string()])
            .arg(place.path().join("data"))
            .arg(program("flynn-shim"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { place, child, lines, address }
    }

    /// The next thing that it says.
    fn says(&mut self) -> String {
        self.lines.next().expect("it ended").unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn image(&self) -> PathBuf {
        self.place.path().join("image")
    }

    fn page(&self) -> std::io::Result<flynn_rig::Answer> {
        get(self.address, "localhost", "/")
    }

    /// The supervisors of its containers.
    fn supervisors(&self) -> Vec<Process> {
        let own = self.child.id();
        processes_of(self.place.path()).into_iter().filter(|process| process.pid != own).collect()
    }

    fn left(&self) -> Vec<String> {
        left_by(&MachineOptions::new(self.place.path().join("data/machine"), "").name, self.place.path())
    }
}

/// A failed test leaves nothing either.
impl Drop for Orchestrator {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::TERM);
            let _ended = self.child.wait();
        }
    }
}

/// Asks until it is told to stop, and counts the answers of each text. Anything but an answer is a text of its own.
fn ask_on(address: SocketAddr, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut seen = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let answer = match get(address, "localhost", "/") {
                Ok(answer) if answer.status == 200 => answer.body.trim().to_owned(),
                other => format!("{other:?}"),
            };
            if !seen.contains(&answer) {
                seen.push(answer);
            }
        }
        seen
    })
}

#[test]
fn it_keeps_an_image_running_rolls_and_ends_cleanly() {
    let mut orchestrator = Orchestrator::start(2);
    assert_eq!(orchestrator.says(), "v1: Done");
    assert_eq!(orchestrator.page().unwrap().body.trim(), "first");
    assert_eq!(orchestrator.supervisors().len(), 2, "{:#?}", orchestrator.supervisors());

    // A container that dies is replaced.
    let killed = orchestrator.supervisors()[0].pid;
    kill_process(Pid::from_raw(i32::try_from(killed).unwrap()).unwrap(), Signal::KILL).unwrap();
    eventually("the container is replaced", Duration::from_secs(20), || {
        let now = orchestrator.supervisors();
        if now.len() == 2 && now.iter().all(|process| process.pid != killed) { Ok(()) } else { Err(now) }
    });

    // Nobody notices a new version but by what it says.
    eventually("it is served again", Duration::from_secs(20), || match orchestrator.page() {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(other),
    });
    write_layout(&orchestrator.image(), "latest", "second");
    let stop = Arc::new(AtomicBool::new(false));
    let asking = ask_on(orchestrator.address, stop.clone());
    orchestrator.signal(Signal::HUP);
    assert_eq!(orchestrator.says(), "v2: Done");
    stop.store(true, Ordering::Relaxed);
    let seen = asking.join().unwrap();
    assert!(seen.iter().all(|text| text == "first" || text == "second"), "{seen:#?}");
    assert_eq!(orchestrator.page().unwrap().body.trim(), "second");

    orchestrator.signal(Signal::TERM);
    assert_eq!(orchestrator.child.wait().unwrap().code(), Some(0));
    assert_eq!(orchestrator.left(), [""; 0]);
}

#[test]
fn it_goes_back_from_a_version_that_does_not_come_up() {
    let mut orchestrator = Orchestrator::start(1);
    assert_eq!(orchestrator.says(), "v1: Done");
    write_layout_of(&orchestrator.image(), "latest", "broken", &["/bin/busybox", "false"], std::env::consts::ARCH);
    orchestrator.signal(Signal::HUP);
    let said = orchestrator.says();
    assert!(said.starts_with("v2: Failed"), "{said}");
    assert_eq!(orchestrator.page().unwrap().body.trim(), "first");

    // One that is for another machine is not even tried.
    write_layout_of(&orchestrator.image(), "latest", "foreign", &["/bin/busybox", "true"], "s390x");
    orchestrator.signal(Signal::HUP);
    let said = orchestrator.says();
    assert!(said.contains("is for linux/s390x, and this machine is linux/"), "{said}");
    assert_eq!(orchestrator.page().unwrap().body.trim(), "first");

    orchestrator.signal(Signal::INT);
    assert_eq!(orchestrator.child.wait().unwrap().code(), Some(0));
    assert_eq!(orchestrator.left(), [""; 0]);
}
