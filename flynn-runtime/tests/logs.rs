//! Logs of jobs, builds and the platform, read while they are written, rotated and put aside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation ends the test")]
#![allow(clippy::disallowed_methods, reason = "a test may read its own environment")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flynn_core::name::{AppName, ProcessName};
use flynn_core::noun::{Desired, Job, JobStatus, OneOffInput, ProcessType, Purpose, Stored, Terminal, Workload};
use flynn_core::port::{LogLine, LogQuery, LogSelection, LogSink, LogSource, LogStream};
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, BuildId, Ids, JobId, Revision, TeamId, Timestamp};
use flynn_runtime::logs::{LiveLogs, Logs, LogsOptions};
use flynn_runtime::shim::{Files, LogRecord, Tag};
use futures::StreamExt;
use tempfile::TempDir;

struct Live(PathBuf);

impl LiveLogs for Live {
    fn files(&self, job: JobId) -> Files {
        Files::new(self.0.join(job.to_string()))
    }
}

struct Ground {
    place: TempDir,
    live: PathBuf,
    options: LogsOptions,
    ids: Ids,
    app: AppId,
}

impl Ground {
    fn new() -> Self {
        let place = TempDir::new().unwrap();
        let mut ids = Ids::from_entropy();
        let app = ids.next(Timestamp::EPOCH);
        let options = LogsOptions::new(place.path().join("logs"));
        Self { live: place.path().join("live"), place, options, ids, app }
    }

    fn open(&self) -> Logs {
        Logs::open(self.options.clone(), Arc::new(Live(self.live.clone()))).unwrap()
    }

    fn log(&self, job: JobId) -> PathBuf {
        self.live.join(job.to_string()).join("log")
    }

    fn job(&mut self, process: Option<&str>) -> Stored<Job> {
        let purpose = match process {
            Some(process) => {
                Purpose::Service { process: ProcessName::new(process).unwrap(), instance: 1, deployment: None }
            }
            None => Purpose::OneOff { terminal: Terminal::None, input: OneOffInput::Closed },
        };
        let workload = Workload {
            app: AppName::new("shop").unwrap(),
            release: 1,
            image: Digest::from_bytes([1; 32]),
            process: ProcessType::new(vec!["program".to_owned()]),
            env: BTreeMap::new(),
        };
        let spec = Job {
            app: self.app,
            release: self.ids.next(Timestamp::EPOCH),
            purpose,
            workload: Arc::new(workload),
            resources: Resources::ZERO,
            attempt: 0,
            not_before: Timestamp::EPOCH,
            node: None,
            desired: Desired::Up,
        };
        let id: JobId = self.ids.next(Timestamp::EPOCH);
        fs::create_dir_all(self.live.join(id.to_string())).unwrap();
        let (status, version) = (JobStatus::default(), Revision::ZERO);
        Stored {
            id,
            team: TeamId::SYSTEM,
            spec,
            status,
            spec_version: version,
            status_version: version,
            created_at: Timestamp::EPOCH,
        }
    }

    async fn read(&self, logs: &Logs, source: LogSelection, last: usize) -> Vec<String> {
        let query = LogQuery { app: self.app, source, since: None, last, follow: false };
        logs.lines(query).map(|line| line.text).collect().await
    }

    /// As a runtime does it when a job was put aside.
    fn remove(&self, job: JobId) {
        fs::remove_dir_all(self.live.join(job.to_string())).unwrap();
    }
}

fn record(at: u64, tag: Tag, text: &str) -> String {
    let at = Timestamp::from_millis(at);
    format!("{}\n", LogRecord { at, tag, continued: false, text: text.to_owned() })
}

fn append(log: &Path, text: &str) {
    File::options().append(true).create(true).open(log).unwrap().write_all(text.as_bytes()).unwrap();
}

/// As a supervisor does it.
fn rotate(log: &Path, files: u32) {
    let aside = |number: u32| log.with_extension(number.to_string());
    let _ = fs::remove_file(aside(files - 1));
    for number in (1..files - 1).rev() {
        let _ = fs::rename(aside(number), aside(number + 1));
    }
    fs::rename(log, aside(1)).unwrap();
}

/// Half of the files may be behind a reader that does not fall behind what is kept.
const FILES: u32 = 8;
const LINES_A_FILE: usize = 40;

async fn is_followed(mut ground: Ground) {
    const LINES: usize = 2_000;
    let logs = ground.open();
    let job = ground.job(Some("web"));
    let (id, log) = (job.id, ground.log(job.id));
    logs.begin(&job).await.unwrap();
    let query = LogQuery { app: ground.app, source: LogSelection::Job(id), since: None, last: 1, follow: true };
    let mut lines = logs.lines(query);
    let mut seen: usize = 0;
    for written in 0..LINES {
        let text = record(written as u64, Tag::Output, &written.to_string());
        // A reader may come upon half a line.
        let (first, second) = text.split_at(text.len() / 2);
        append(&log, first);
        append(&log, second);
        if written % LINES_A_FILE == LINES_A_FILE - 1 {
            rotate(&log, FILES);
        }
        while written - seen > LINES_A_FILE * 5 {
            assert_eq!(lines.next().await.unwrap().text, seen.to_string());
            seen += 1;
        }
        if written == 0 {
            // From here on it follows.
            assert_eq!(lines.next().await.unwrap().text, "0");
            seen = 1;
        }
    }
    // It is put aside and taken away while the reader is some files behind.
    logs.end(id).await.unwrap();
    logs.end(id).await.unwrap();
    ground.remove(id);
    while let Some(line) = lines.next().await {
        assert_eq!(line.text, seen.to_string());
        assert_eq!(line.stream, LogStream::Output(id));
        seen += 1;
    }
    assert_eq!(seen, LINES);
    let kept = ground.read(&logs, LogSelection::Job(id), 50).await;
    assert_eq!(kept, (LINES - 50..LINES).map(|line| line.to_string()).collect::<Vec<_>>());
    // The same after a restart.
    drop(logs);
    let logs = ground.open();
    assert_eq!(ground.read(&logs, LogSelection::Job(id), 50).await, kept);
}

#[tokio::test]
async fn no_line_is_lost_or_doubled_by_rotation_and_removal() {
    is_followed(Ground::new()).await;
}

#[tokio::test]
async fn the_same_where_files_must_be_copied() {
    use std::os::unix::fs::MetadataExt;
    let mut ground = Ground::new();
    // Memory is another file system than that of temporary files, or else nothing is copied.
    let Ok(elsewhere) = TempDir::new_in("/dev/shm") else { panic!("the machine has no /dev/shm") };
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    assert_ne!(device(elsewhere.path()), device(ground.place.path()));
    ground.live = elsewhere.path().to_owned();
    is_followed(ground).await;
}

#[tokio::test]
async fn lines_are_selected_and_come_in_their_order() {
    let mut ground = Ground::new();
    let logs = ground.open();
    let (web, worker, run) = (ground.job(Some("web")), ground.job(Some("worker")), ground.job(None));
    for (number, job) in [&web, &worker, &run].into_iter().enumerate() {
        logs.begin(job).await.unwrap();
        for line in 0..10_u64 {
            let at = 1_000 + line * 3 + number as u64;
            append(&ground.log(job.id), &record(at, Tag::Errors, &at.to_string()));
        }
    }
    let stream = LogStream::Platform(ground.app);
    logs.emit(LogLine { at: Timestamp::from_millis(1_030), stream, text: "the platform\nsays".to_owned() });
    logs.flush().await;
    let all = ground.read(&logs, LogSelection::App, 1_000).await;
    let mut expected: Vec<_> = (1_000..1_030).map(|at| at.to_string()).collect();
    expected.extend(["the platform".to_owned(), "says".to_owned()]);
    assert_eq!(all, expected);
    assert_eq!(ground.read(&logs, LogSelection::App, 3).await, ["1029", "the platform", "says"]);
    assert_eq!(ground.read(&logs, LogSelection::App, 0).await, [""; 0]);
    let name = ProcessName::new("worker").unwrap();
    logs.end(worker.id).await.unwrap();
    ground.remove(worker.id);
    assert_eq!(ground.read(&logs, LogSelection::Process(name), 2).await, ["1025", "1028"]);
    assert_eq!(ground.read(&logs, LogSelection::Job(run.id), 1).await, ["1029"]);
    let since = Some(Timestamp::from_millis(1_027));
    let query = LogQuery { app: ground.app, source: LogSelection::Job(run.id), since, last: 100, follow: false };
    let lines: Vec<_> = logs.lines(query).map(|line| line.text).collect().await;
    assert_eq!(lines, ["1029"]);
    let other = ground.ids.next(Timestamp::EPOCH);
    let query = LogQuery { app: other, source: LogSelection::App, since: None, last: 100, follow: false };
    assert_eq!(logs.lines(query).count().await, 0);
}

#[tokio::test]
async fn who_follows_an_app_sees_jobs_that_come_later() {
    let mut ground = Ground::new();
    let logs = ground.open();
    let query = LogQuery { app: ground.app, source: LogSelection::App, since: None, last: 10, follow: true };
    let mut lines = logs.lines(query);
    for number in 0..3_u64 {
        let job = ground.job(Some("web"));
        logs.begin(&job).await.unwrap();
        append(&ground.log(job.id), &record(number, Tag::Output, &number.to_string()));
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next()).await.unwrap().unwrap();
        assert_eq!((line.text, line.stream), (number.to_string(), LogStream::Output(job.id)));
        logs.end(job.id).await.unwrap();
        ground.remove(job.id);
    }
}

#[tokio::test]
async fn what_is_no_record_is_passed_over_and_long_lines_are_joined() {
    let mut ground = Ground::new();
    let logs = ground.open();
    let job = ground.job(Some("web"));
    logs.begin(&job).await.unwrap();
    let log = ground.log(job.id);
    append(&log, "torn by a full disk\n");
    append(&log, "1 o+ one \n2 e between\n3 o line\n");
    append(&log, "4 o not yet all of");
    assert_eq!(ground.read(&logs, LogSelection::Job(job.id), 10).await, ["between", "one line"]);
}

#[tokio::test]
async fn old_logs_are_forgotten() {
    let mut ground = Ground::new();
    ground.options.app_bytes = 1_000;
    let logs = ground.open();
    let mut jobs = Vec::new();
    for number in 0..5_u64 {
        let job = ground.job(Some("web"));
        logs.begin(&job).await.unwrap();
        append(&ground.log(job.id), &record(number, Tag::Output, &"x".repeat(300)));
        logs.end(job.id).await.unwrap();
        ground.remove(job.id);
        jobs.push(job.id);
    }
    for (number, job) in jobs.iter().enumerate() {
        let kept = ground.read(&logs, LogSelection::Job(*job), 10).await.len();
        assert_eq!(kept, usize::from(number >= 2), "job {number}");
    }
    // All apps together have a limit too, and the oldest of any goes first.
    drop(logs);
    ground.options.total_bytes = 1_000;
    let (first, logs) = (ground.app, ground.open());
    ground.app = ground.ids.next(Timestamp::EPOCH);
    let job = ground.job(Some("web"));
    logs.begin(&job).await.unwrap();
    append(&ground.log(job.id), &record(9, Tag::Output, &"x".repeat(300)));
    logs.end(job.id).await.unwrap();
    assert_eq!(ground.read(&logs, LogSelection::Job(job.id), 10).await.len(), 1);
    ground.app = first;
    assert_eq!(ground.read(&logs, LogSelection::App, 10).await.len(), 2);
}

/// The apps that anything is kept of.
fn apps(ground: &Ground) -> Vec<AppId> {
    let entries = fs::read_dir(&ground.options.directory).unwrap();
    entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).collect()
}

/// As if this file of the app were of that second.
fn dated(ground: &Ground, file: &str, second: u64) {
    let path = ground.options.directory.join(ground.app.to_string()).join(file);
    let at = std::time::UNIX_EPOCH + Duration::from_secs(second);
    File::open(path).unwrap().set_modified(at).unwrap();
}

#[tokio::test]
async fn nothing_stays_of_apps_whose_logs_were_forgotten() {
    let mut ground = Ground::new();
    ground.options.total_jobs = 3;
    let logs = ground.open();
    let mut used = Vec::new();
    for number in 0..6 {
        ground.app = ground.ids.next(Timestamp::EPOCH);
        used.push(ground.app);
        let job = ground.job(Some("web"));
        logs.begin(&job).await.unwrap();
        // It says nothing.
        logs.end(job.id).await.unwrap();
        ground.remove(job.id);
        dated(&ground, &format!("jobs/{}/parts", job.id), number);
    }
    let left: BTreeSet<_> = apps(&ground).into_iter().collect();
    assert_eq!(left, used[3..].iter().copied().collect());
    // What a killed process left empty is removed by the next.
    drop(logs);
    let app: AppId = ground.ids.next(Timestamp::EPOCH);
    let directory = ground.options.directory.join(app.to_string());
    fs::create_dir_all(directory.join("jobs")).unwrap();
    fs::create_dir_all(directory.join("platform")).unwrap();
    let _logs = ground.open();
    assert!(!directory.exists());
    assert_eq!(apps(&ground).len(), 3);
}

#[tokio::test]
async fn what_is_said_about_all_apps_takes_no_more_than_it_may() {
    let mut ground = Ground::new();
    ground.options.platform_bytes = 16 << 10;
    ground.options.platforms_bytes = 100 << 10;
    let logs = ground.open();
    let used: Vec<AppId> = (0..40).map(|_| ground.ids.next(Timestamp::EPOCH)).collect();
    let said = |app: AppId, text: &str| LogLine {
        at: Timestamp::EPOCH,
        stream: LogStream::Platform(app),
        text: text.to_owned(),
    };
    for (number, app) in (0..).zip(&used) {
        logs.emit(said(*app, "web.1 is up"));
        logs.flush().await;
        ground.app = *app;
        dated(&ground, "platform/log", number);
    }
    let left = apps(&ground);
    assert!((2..=13).contains(&left.len()), "{}", left.len());
    assert!(left.contains(&used[39]) && !left.contains(&used[0]));
    // One that was forgotten begins anew, and is the newest.
    logs.emit(said(used[0], "web.1 is up again"));
    for _ in 0..200 {
        logs.emit(said(used[39], &"x".repeat(400)));
    }
    logs.flush().await;
    ground.app = used[0];
    assert_eq!(ground.read(&logs, LogSelection::App, 10).await, ["web.1 is up again"]);
    assert_eq!(logs.dropped(), 0);
    // Those of which much was said in the meantime are not forgotten for those of which little was.
    ground.app = used[39];
    assert_eq!(ground.read(&logs, LogSelection::App, 1).await.len(), 1);
}

#[tokio::test]
async fn a_log_that_was_put_aside_by_half_is_put_aside_again() {
    let mut ground = Ground::new();
    let logs = ground.open();
    let job = ground.job(Some("web"));
    logs.begin(&job).await.unwrap();
    append(&ground.log(job.id), &record(1, Tag::Output, "there"));
    drop(logs);
    let half = ground.options.directory.join(ground.app.to_string()).join("jobs").join(job.id.to_string());
    fs::create_dir(half.join("parts.half")).unwrap();
    fs::write(half.join("parts.half/0000-1-1"), "1 o wrong\n").unwrap();
    let logs = ground.open();
    logs.end(job.id).await.unwrap();
    ground.remove(job.id);
    assert_eq!(ground.read(&logs, LogSelection::Job(job.id), 10).await, ["there"]);
}

fn built(build: BuildId, at: u64, text: String) -> LogLine {
    LogLine { at: Timestamp::from_millis(at), stream: LogStream::Build(build), text }
}

#[tokio::test]
async fn what_there_is_no_room_for_is_dropped_and_counted() {
    let mut ground = Ground::new();
    ground.options.queue = 4;
    let logs = ground.open();
    let build = ground.ids.next(Timestamp::EPOCH);
    let mut emitted = 0_u64;
    while logs.dropped() == 0 {
        logs.emit(built(build, emitted, "a line".to_owned()));
        emitted += 1;
    }
    logs.flush().await;
    logs.emit(built(build, emitted, "the last line".to_owned()));
    logs.flush().await;
    let lines = ground.read(&logs, LogSelection::Build(build), 10_000).await;
    assert_eq!(lines.last().unwrap(), "the last line");
    let said = format!("{} lines were dropped", logs.dropped());
    assert_eq!(lines.iter().filter(|line| line.starts_with(&said)).count(), 1, "{said}");
    let kept = u64::try_from(lines.len()).unwrap() - 2;
    // More than can be read at once may have gone through.
    assert!(kept == emitted - logs.dropped() || kept >= 9_998, "{kept} of {emitted}");
    let job = ground.ids.next(Timestamp::EPOCH);
    let before = logs.dropped();
    logs.emit(LogLine { at: Timestamp::EPOCH, stream: LogStream::Output(job), text: "not here".to_owned() });
    assert_eq!(logs.dropped(), before + 1);
}

#[tokio::test]
async fn a_build_takes_no_more_than_it_may() {
    let mut ground = Ground::new();
    ground.options.build_bytes = 10_000;
    ground.options.builds_bytes = 25_000;
    let logs = ground.open();
    let mut builds = Vec::new();
    for number in 0..4_u64 {
        let build: BuildId = ground.ids.next(Timestamp::EPOCH);
        for line in 0..500 {
            logs.emit(built(build, number, format!("build {number} line {line}")));
        }
        logs.emit(built(build, number, "x".repeat(40_000)));
        logs.flush().await;
        builds.push(build);
    }
    assert_eq!(logs.dropped(), 0);
    let root = ground.options.directory.join("builds");
    let left = fs::read_dir(&root).unwrap().count();
    assert!((1..4).contains(&left), "{left}");
    let lines = ground.read(&logs, LogSelection::Build(builds[3]), 10_000).await;
    assert_eq!(lines.last().unwrap().len(), 40_000);
    assert_eq!(ground.read(&logs, LogSelection::Build(builds[0]), 10).await.len(), 0);
}

/// Tells the writer, a copy of this test program, where it works.
const WRITER: &str = "FLYNN_TEST_LOG_WRITER";
const WRITTEN: u64 = 500;

/// Writes lines until it is killed, and says how many it knows to be written.
#[tokio::test]
async fn writer() {
    let Ok(told) = std::env::var(WRITER) else { return };
    let [directory, build, round] = told.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let options = LogsOptions::new(directory.into());
    let logs = Logs::open(options, Arc::new(Live(directory.into()))).unwrap();
    let (build, round): (BuildId, u64) = (build.parse().unwrap(), round.parse().unwrap());
    for line in 0..WRITTEN {
        logs.emit(built(build, round, format!("{round}:{line}")));
    }
    logs.flush().await;
    fs::write(Path::new(directory).join("written"), "").unwrap();
    for line in 0_u64.. {
        logs.emit(built(build, round, format!("{round}:more {line}")));
        if line % 100 == 0 {
            logs.flush().await;
        }
    }
}

#[tokio::test]
async fn what_was_flushed_outlives_its_writer() {
    let mut ground = Ground::new();
    fs::create_dir_all(&ground.options.directory).unwrap();
    let build: BuildId = ground.ids.next(Timestamp::EPOCH);
    let written = ground.options.directory.join("written");
    for round in 0..3_u64 {
        let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["writer", "--exact", "--nocapture"])
            .env(WRITER, format!("{} {build} {round}", ground.options.directory.display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut waited = 0;
        while !written.exists() && waited < 3_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            waited += 1;
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        fs::remove_file(&written).expect("the writer got so far");
    }
    let logs = ground.open();
    let texts: Vec<_> = {
        let file = fs::read_to_string(ground.options.directory.join("builds").join(build.to_string()).join("log"));
        let older = fs::read_to_string(ground.options.directory.join("builds").join(build.to_string()).join("log.1"));
        let all = older.unwrap_or_default() + &file.unwrap();
        all.lines().filter_map(|line| line.parse::<LogRecord>().ok()).map(|record| record.text).collect()
    };
    drop(logs);
    for round in 0..3_u64 {
        for line in 0..WRITTEN {
            let wanted = format!("{round}:{line}");
            assert_eq!(texts.iter().filter(|text| **text == wanted).count(), 1, "{wanted}");
        }
    }
}
