//! The way to the node of a test: programs are run on this machine with pipes, a terminal is imitated.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::link::{Frame, FrameReader, FrameWriter};
use flynn_core::name::EnvKey;
use flynn_core::noun::{Exit, Job, JobState, JobStatus, Purpose, Terminal};
use flynn_core::port::{Duplex, LinkError, LinkRequest, LogLine, LogQuery, LogSelection, LogStream, NodeLink, Store};
use flynn_core::{Batch, Change, Clock, JobId, MemoryStore, NodeId, Principal, Scope, SystemClock, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::process::Command;
use tokio::sync::mpsc;

pub(crate) struct Links {
    store: Arc<MemoryStore>,
}

impl Links {
    pub(crate) fn new(store: Arc<MemoryStore>) -> Self {
        Self { store }
    }

    async fn job(&self, node: NodeId, id: JobId) -> Result<Arc<flynn_core::noun::Stored<Job>>, LinkError> {
        let objects = self.store.snapshot(Scope::All).await.unwrap().objects;
        objects.get(id).filter(|job| job.spec.node == Some(node)).cloned().ok_or(LinkError::NotFound(id))
    }
}

#[async_trait]
impl NodeLink for Links {
    async fn open(&self, node: NodeId, request: LinkRequest) -> Result<Box<dyn Duplex>, LinkError> {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        match request {
            LinkRequest::Attach(id) => {
                let job = self.job(node, id).await?;
                let Purpose::OneOff { terminal, .. } = job.spec.purpose else {
                    return Err(LinkError::Refused { problem: "only a `run` can be attached to".into() });
                };
                let (store, command) = (self.store.clone(), job.spec.workload.process.command.clone());
                tokio::spawn(async move {
                    let exit = run(ours, command, terminal, BTreeMap::new()).await;
                    let status = JobStatus { state: JobState::Exited(exit), since: SystemClock.now() };
                    let batch = Batch::new(Principal::Node(node)).with(Change::report(id, status));
                    store.commit(batch).await.unwrap();
                });
            }
            LinkRequest::Exec(id, exec) => {
                self.job(node, id).await?;
                tokio::spawn(run(ours, exec.command, exec.terminal, exec.env));
            }
            LinkRequest::Logs(query) => {
                let objects = self.store.snapshot(Scope::All).await.unwrap().objects;
                let jobs: Vec<JobId> = objects.iter::<Job>().map(|job| job.id).collect();
                tokio::spawn(log(ours, query, jobs));
            }
            _ => return Err(LinkError::Refused { problem: "this node does not know that".into() }),
        }
        Ok(Box::new(theirs))
    }
}

type Reader = FrameReader<ReadHalf<DuplexStream>>;
type Writer = FrameWriter<WriteHalf<DuplexStream>>;

async fn run(way: DuplexStream, command: Vec<String>, terminal: Terminal, env: BTreeMap<EnvKey, String>) -> Exit {
    let (reader, writer) = tokio::io::split(way);
    let (reader, mut writer) = (FrameReader::new(reader), FrameWriter::new(writer));
    let exit = match terminal {
        Terminal::None => piped(reader, &mut writer, &command, &env).await,
        Terminal::Pty => imitated(reader, &mut writer, &env).await,
    };
    let _ = writer.write(Frame::Exit(exit.clone())).await;
    let _ = writer.shutdown().await;
    exit
}

async fn piped(mut reader: Reader, writer: &mut Writer, command: &[String], env: &BTreeMap<EnvKey, String>) -> Exit {
    let spawned = Command::new(&command[0])
        .args(&command[1..])
        .envs(env.iter().map(|(key, value)| (key.as_str(), value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Exit::NotStarted { reason: format!("{}`{}`", Exit::NO_PROGRAM, command[0]) };
        }
        Err(error) => return Exit::NotStarted { reason: format!("{}: {error}", command[0]) },
    };
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    let mut stdin = child.stdin.take();
    let input = tokio::spawn(async move {
        while let Ok(Some(frame)) = reader.next().await {
            match frame {
                Frame::Input(bytes) => {
                    if let Some(stdin) = &mut stdin {
                        let _ = stdin.write_all(&bytes).await;
                    }
                }
                Frame::InputEnd => drop(stdin.take()),
                Frame::Signal(_) => drop(rustix::process::kill_process(pid, rustix::process::Signal::INT)),
                _ => {}
            }
        }
    });
    let (sender, mut frames) = mpsc::channel(4);
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let errors = sender.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; 4_096];
        while let Ok(length @ 1..) = stdout.read(&mut buffer).await {
            let _ = sender.send(Frame::Output(buffer[..length].to_vec())).await;
        }
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 4_096];
        while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
            let _ = errors.send(Frame::Errors(buffer[..length].to_vec())).await;
        }
    });
    while let Some(frame) = frames.recv().await {
        let _ = writer.write(frame).await;
    }
    let status = child.wait().await.unwrap();
    input.abort();
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap()),
    }
}

/// Says what it was given, its sizes and every byte that is typed, as hexadecimal; ends with 130 at Ctrl-C.
async fn imitated(mut reader: Reader, writer: &mut Writer, env: &BTreeMap<EnvKey, String>) -> Exit {
    let given: String = env.iter().map(|(key, value)| format!("given {key}={value}\r\n")).collect();
    writer.write(Frame::Output(given.into())).await.unwrap();
    while let Ok(Some(frame)) = reader.next().await {
        let text = match frame {
            Frame::Resize(size) => format!("size {} {}\r\n", size.rows, size.columns),
            Frame::Input(bytes) if bytes.contains(&3) => return Exit::Code(130),
            Frame::Input(bytes) => format!("typed {bytes:x?}\r\n"),
            _ => continue,
        };
        writer.write(Frame::Output(text.into())).await.unwrap();
    }
    Exit::Signal(1)
}

/// Two lines of each job and of each build; with `follow`, one more.
async fn log(way: DuplexStream, query: LogQuery, jobs: Vec<JobId>) {
    let (mut reader, writer) = tokio::io::split(way);
    let mut writer = FrameWriter::new(writer);
    let mut lines = Vec::new();
    match &query.source {
        LogSelection::Build(build) => {
            for (at, text) in [(1, "unpacking"), (2, "installing")] {
                lines.push((at, LogStream::Build(*build), text));
            }
        }
        LogSelection::Job(job) => lines.push((1, LogStream::Output(*job), "of one job")),
        _ => {
            for job in jobs {
                lines.push((1, LogStream::Output(job), "listening"));
                lines.push((2, LogStream::Errors(job), "\u{1b}[31mGET /\u{1b}[0m"));
            }
        }
    }
    if query.follow && !matches!(query.source, LogSelection::Build(_)) {
        lines.push((3, LogStream::Platform(query.app), "the last line"));
    }
    for (at, stream, text) in lines {
        let line = LogLine { at: Timestamp::from_millis(1_800_000_000_000 + at), stream, text: text.into() };
        if query.since.is_none_or(|since| line.at >= since) {
            writer.write(Frame::Line(line)).await.unwrap();
        }
    }
    if query.follow {
        // Until whoever follows hangs up.
        let _ = reader.read_u8().await;
    }
    let _ = writer.shutdown().await;
}
