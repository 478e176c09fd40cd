use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flynn_instance::crash::CrashPoint;
use flynn_rig::leaks::{self, Live};
use flynn_rig::{Checkout, Rig, RigOptions, program};
use serde_json::Value;
use tempfile::TempDir;

use super::records::{COUNT, assert_whole};
use super::visitor::Visitor;
use super::{Operation, PROGRAMS};
use crate::apps::{json, plain, says};

const POLL: Duration = Duration::from_millis(10);
/// The longest that one operation may take, with all deaths in it.
const LONGEST: Duration = Duration::from_secs(60);

/// A platform with an app that is visited all the time, and somebody who does things to it.
pub(super) struct World {
    pub(super) rig: Rig,
    checkout: Checkout,
    visitor: Visitor,
    points: TempDir,
    is_pushed: bool,
    round: u32,
    counts: u32,
}

impl World {
    /// Where the app is pushed again, its build runs commands.
    pub(super) fn start(is_pushed: bool) -> Self {
        let points = tempfile::tempdir().unwrap();
        fs::set_permissions(points.path(), Permissions::from_mode(0o755)).unwrap();
        let arguments = vec!["--crash-points".into(), points.path().into()];
        let rig = Rig::start_with(RigOptions { arguments, ..RigOptions::default() });
        let checkout = rig.create("app");
        write(&checkout, is_pushed, 0);
        checkout.push().expect("the first push");
        says(&rig, "app", "round 0");
        // Until then their layers are on their way.
        rig.wait_for_bases();
        rig.flynn(&["scale", "count=1", "--app", "app"]).expect("flynn scale");
        let visitor = Visitor::of(&rig, "app.localhost");
        Self { rig, checkout, visitor, points, is_pushed, round: 0, counts: 1 }
    }

    /// Begins an operation, as somebody at a terminal does.
    pub(super) fn begin(&mut self, operation: Operation) -> Child {
        self.round += 1;
        let mut command = match operation {
            Operation::Push => {
                write(&self.checkout, self.is_pushed, self.round);
                let mut command = self.checkout.command("git");
                command.args(["push", "--force", "flynn", "HEAD:refs/heads/main"]);
                command
            }
            Operation::Deploy => self.flynn(&["config:set", &format!("NAME=round-{}", self.round)]),
            Operation::Scale => {
                self.counts = 3 - self.counts;
                self.flynn(&["scale", &format!("count={}", self.counts)])
            }
            Operation::Stop => {
                let job = self.counting();
                self.flynn(&["kill", &job])
            }
        };
        let said = File::create(self.rig.place().join("said")).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap()
    }

    /// An instance of `count`. The control plane may have died just after the last of what was waited for.
    fn counting(&mut self) -> String {
        let began = Instant::now();
        loop {
            self.rig.revive_flynnd();
            let listed = self.rig.flynn(&["ps", "--app", "app", "--json"]);
            let jobs: Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
            if let Some(job) = jobs.as_array().into_iter().flatten().find(|job| job["process"] == "count") {
                return job["name"].as_str().unwrap().to_owned();
            }
            assert!(began.elapsed() < LONGEST, "nobody counts: {listed:?}");
            sleep(POLL);
        }
    }

    fn flynn(&self, args: &[&str]) -> Command {
        let mut command = self.checkout.command(program("flynn"));
        command.args(args).args(["--app", "app"]);
        command
    }

    /// What the last operation wrote.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.rig.place().join("said")).unwrap()
    }

    /// Waits for the end of an operation. The control plane is started again when it dies. Answers whether the
    /// operation succeeded.
    pub(super) fn end(&mut self, mut operation: Child) -> bool {
        let began = Instant::now();
        loop {
            self.rig.revive_flynnd();
            if let Some(status) = operation.try_wait().unwrap() {
                return status.success();
            }
            assert!(began.elapsed() < LONGEST, "no end: {}", self.said());
            sleep(POLL);
        }
    }

    /// Kills a program, and returns when it is dead.
    pub(super) fn kill(&mut self, program: &str) {
        let record = self.rig.holder(program).unwrap_or_else(|| panic!("{program} does not run"));
        record.identity.kill().unwrap();
        while record.identity.is_alive().unwrap() {
            // A child is there until somebody has asked for its end.
            self.rig.revive_flynnd();
            sleep(POLL);
        }
    }

    /// Names the points that a program dies at, in this order.
    pub(super) fn arm(&self, program: &str, points: &[CrashPoint]) {
        let text: String = points.iter().map(|point| format!("{point}\n")).collect();
        let file = self.points.path().join(program);
        fs::write(&file, text).unwrap();
        // The router is another user.
        fs::set_permissions(file, Permissions::from_mode(0o666)).unwrap();
    }

    /// The points that a program has not died at so far, one a line.
    pub(super) fn armed(&self, program: &str) -> String {
        fs::read_to_string(self.points.path().join(program)).unwrap_or_default()
    }

    /// Waits until there is what was asked for, and nothing else.
    pub(super) fn converge(&mut self) {
        let began = Instant::now();
        loop {
            self.rig.revive_flynnd();
            match self.look() {
                Ok(()) => return,
                Err(found) => assert!(began.elapsed() < LONGEST, "it does not converge: {found:#?}"),
            }
            sleep(POLL);
        }
    }

    /// Whether there is what was asked for and nothing else; otherwise what there is.
    pub(super) fn look(&self) -> Result<(), Vec<String>> {
        if let Some(missing) = PROGRAMS.iter().find(|program| self.rig.holder(program).is_none()) {
            return Err(vec![format!("{missing} does not run")]);
        }
        let wanted: Vec<_> = (0..self.counts).map(|_| "count").chain(["web"]).collect();
        let listed = self.rig.flynn(&["ps", "--app", "app", "--json"]);
        let jobs: Value = serde_json::from_str(&listed.stdout).map_err(|_| vec![listed.stderr])?;
        let jobs = jobs.as_array().unwrap();
        let text = |job: &Value, field: &str| job[field].as_str().unwrap_or_default().to_owned();
        let is_up = |job: &&Value| text(job, "state") == "up" && text(job, "desired") == "up";
        let mut up: Vec<_> = jobs.iter().filter(is_up).map(|job| text(job, "process")).collect();
        up.sort_unstable();
        if up != wanted || jobs.len() != wanted.len() {
            return Err(jobs.iter().map(Value::to_string).collect());
        }
        let ids: Vec<_> = jobs.iter().map(|job| text(job, "id")).collect();
        let live = Live::of(&self.rig.layout(), ids.iter().map(String::as_str));
        match leaks::beside(&self.rig.layout(), &live) {
            found if found.is_empty() => Ok(()),
            found => Err(found),
        }
    }

    /// Does everything once more without a death, and looks at what there is on record.
    pub(super) fn finish(mut self, operations: impl Iterator<Item = Operation>) {
        for operation in operations {
            let last = self.begin(operation);
            assert!(self.end(last), "{operation:?}: {}", self.said());
            let round = self.round;
            match operation {
                Operation::Push => says(&self.rig, "app", &format!("round {round} ")),
                Operation::Deploy => says(&self.rig, "app", &format!("round-{round}")),
                Operation::Scale | Operation::Stop => {}
            }
            self.converge();
        }
        assert!(assert_whole(&self.rig) > 0, "instances have ended");
        let builds = json(&self.rig, &["builds", "--app", "app"]);
        assert!(builds.as_array().unwrap().iter().all(|build| build["state"] != "lost"), "{builds}");
        let visits = self.visitor.leave();
        assert!(visits.answered > 0 && visits.failures.is_empty(), "{visits:#?}");
        self.rig.down();
    }
}

/// Writes the app of a round. Where its build is to run commands, it has requirements, and others in each round.
fn write(checkout: &Checkout, is_pushed: bool, round: u32) {
    plain(checkout, &format!("round {round}"));
    if is_pushed {
        checkout.write("requirements.txt", &format!("# round {round}\n"));
    }
    checkout.write("count.sh", COUNT);
    checkout.commit("a round");
}
