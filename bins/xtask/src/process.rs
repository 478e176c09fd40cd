//! Child processes that cannot run for ever.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

const POLL: Duration = Duration::from_millis(20);
const LAST_WORDS: Duration = Duration::from_secs(1);
const BUFFERED_LINES: usize = 1024;

/// A command that ran and did not succeed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) command: String,
    reason: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failed {}

/// Runs `command` on this terminal and kills it with all its descendants after `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let child = spawn(command)?;
    wait(child, command, limit, thread::sleep)
}

/// Like [`run`], and hands every line of standard output to `each` as it arrives.
pub(crate) fn run_lines(command: &mut Command, limit: Duration, mut each: impl FnMut(&str)) -> Result<()> {
    let mut child = spawn(command.stdout(Stdio::piped()))?;
    let output = child.stdout.take().context("the child has no standard output")?;
    let (sender, lines) = mpsc::sync_channel(BUFFERED_LINES);
    // Not joined: a stray descendant may hold the pipe open after the child has ended.
    thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let outcome = wait(child, command, limit, |poll| match lines.recv_timeout(poll) {
        Ok(line) => each(&line),
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => thread::sleep(poll),
    });
    while let Ok(line) = lines.recv_timeout(LAST_WORDS) {
        each(&line);
    }
    outcome
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("starting {:?}", command.get_program()))
}

fn wait(mut child: Child, command: &Command, limit: Duration, mut pause: impl FnMut(Duration)) -> Result<()> {
    let deadline = Instant::now() + limit;
    let reason = loop {
        match child.try_wait().context("waiting for a child process")? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => break status.to_string(),
            None if Instant::now() >= deadline => {
                kill_tree(child.id())?;
                child.wait().context("waiting for a killed child process")?;
                break format!("killed because it ran longer than {limit:?}");
            }
            None => pause(POLL),
        }
    };
    Err(anyhow!(Failed { command: rerun_line(command), reason }))
}

/// Children are not put into a process group of their own, because Ctrl-C would then miss them;
/// so their descendants are found by parentage.
fn kill_tree(root: u32) -> Result<()> {
    let parents = parents()?;
    let mut doomed = vec![root];
    let mut next = 0;
    while let Some(&pid) = doomed.get(next) {
        doomed.extend(parents.iter().filter(|(_, p)| *p == pid).map(|(c, _)| *c));
        next += 1;
    }
    Command::new("sh")
        .args(["-c", "kill -KILL \"$@\" 2>/dev/null", "kill"])
        .args(doomed.iter().map(u32::to_string))
        .status()
        .context("killing a child process that exceeded its time limit")?;
    Ok(())
}

fn parents() -> Result<Vec<(u32, u32)>> {
    let entries = fs::read_dir("/proc").context("reading /proc")?;
    Ok(entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parent_in(&stat)?))
        })
        .collect())
}

/// The command name before the last `)` may itself contain spaces and parentheses.
fn parent_in(stat: &str) -> Option<u32> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

fn rerun_line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(key, value)| Some(format!("{}={:?}", key.to_str()?, value?)));
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned());
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_past_its_limit_dies_with_its_descendants() {
        let start = Instant::now();
        let mut lines = Vec::new();
        let error = run_lines(
            Command::new("sh").args(["-c", "sh -c 'sleep 600; true' & echo started; wait"]),
            Duration::from_millis(500),
            |line| lines.push(line.to_owned()),
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "killed because it ran longer than 500ms");
        assert_eq!(lines, ["started"]);
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_failure_says_how_to_run_it_again() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]).env("LEVEL", "high");
        let error = run(&mut command, Duration::from_secs(60)).unwrap_err();
        let failed = error.downcast_ref::<Failed>().unwrap();
        assert_eq!(failed.command, "LEVEL=\"high\" sh -c exit 3");
        assert_eq!(failed.reason, "exit status: 3");
    }

    #[test]
    fn the_parent_is_found_behind_an_awkward_command_name() {
        assert_eq!(parent_in("7 (a) b (c) S 42 7 7 0"), Some(42));
        assert_eq!(parent_in("nonsense"), None);
    }
}
