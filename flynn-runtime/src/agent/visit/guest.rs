use std::sync::Arc;
use std::time::Duration;

use flynn_core::link::{Frame, FrameReader, FrameWriter};
use flynn_core::noun::{Job, JobState, Stored, Terminal};
use flynn_core::port::{
    Duplex, Exec, ExecRequest, LinkError, LinkRequest, LogQuery, LogSelection, LogSource, LogStream, Runtime,
    RuntimeError, SessionControl, Signal,
};
use flynn_core::{JobId, View};
use futures::StreamExt;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};

use super::pump::{Ended, pump};
use super::{Here, Request};
use crate::agent::operation::{Tools, chain};
use crate::agent::pass::is_attached;
use crate::agent::workplace::WorkplaceError;

/// What is on its way in one direction.
const BUFFER: usize = 64 << 10;
/// A job that was placed a moment ago may not be known here yet.
const ARRIVAL: Duration = Duration::from_secs(5);
/// Between two looks at what nothing wakes for.
const PAUSE: Duration = Duration::from_millis(20);
/// After a closed terminal a further process has so long, and after being told to end so long again.
const GRACE: Duration = Duration::from_secs(2);

/// One visit.
pub(super) struct Guest<R> {
    pub(super) tools: Tools<R>,
    pub(super) view: View,
    pub(super) here: mpsc::Sender<Here>,
}

type Reply = oneshot::Sender<Result<Box<dyn Duplex>, LinkError>>;

impl<R: Runtime + Exec> Guest<R> {
    /// Serves until either side has had enough. Answers the attached job whose terminal it was at.
    pub(super) async fn visit(self, Request { wanted, reply }: Request) -> Option<JobId> {
        match wanted {
            LinkRequest::Attach(job) => match self.find(job).await {
                Some(stored) => self.attach(&stored, reply).await,
                None => refuse(reply, LinkError::NotFound(job)),
            },
            LinkRequest::Exec(job, request) => match self.find(job).await {
                Some(stored) => self.exec(&stored, &request, reply).await,
                None => refuse(reply, LinkError::NotFound(job)),
            },
            LinkRequest::Logs(query) => self.logs(query, reply).await,
            other => refuse(reply, LinkError::Refused { problem: format!("this node does not know {other:?}") }),
        }
    }

    async fn find(&self, job: JobId) -> Option<Arc<Stored<Job>>> {
        let mut changes = self.view.changes();
        let look = async {
            loop {
                if let Some(found) = self.look(job) {
                    return Some(found);
                }
                if changes.changed().await.is_err() {
                    return None;
                }
            }
        };
        tokio::time::timeout(ARRIVAL, look).await.ok().flatten()
    }

    fn look(&self, job: JobId) -> Option<Arc<Stored<Job>>> {
        self.view.snapshot().objects.get(job).cloned()
    }

    async fn attach(&self, job: &Stored<Job>, reply: Reply) -> Option<JobId> {
        let wire = accept(reply)?;
        loop {
            match self.tools.runtime.attach(job.id).await {
                Ok(session) if is_attached(job) => {
                    // Only when the agent knows does it start the job, so that no output is lost. It may be ending.
                    self.here.send(Here(job.id)).await.ok()?;
                    pump(session, wire, None).await;
                    return Some(job.id);
                }
                Ok(session) => {
                    pump(session, wire, None).await;
                    return None;
                }
                // It was made for its log alone, and that is what there is to see.
                Err(RuntimeError::Invalid { .. }) => {
                    self.follow(job, wire).await;
                    return None;
                }
                Err(RuntimeError::NotFound { .. }) => {}
                Err(error) => {
                    last_word(wire, Frame::Problem(chain(&error))).await;
                    return None;
                }
            }
            if let Some(end) = self.end(job.id) {
                last_word(wire, end).await;
                return None;
            }
            // It is being prepared; that ends in one way or the other.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How a job ended, if it has.
    fn end(&self, job: JobId) -> Option<Frame> {
        match self.look(job).map(|job| job.status.state.clone()) {
            None => Some(Frame::Problem("the job is not there any more".to_owned())),
            Some(JobState::Exited(exit)) => Some(Frame::Exit(exit)),
            Some(JobState::Lost { reason }) => Some(Frame::Problem(format!("the job was lost: {reason}"))),
            Some(_) => None,
        }
    }

    /// Shows what a job writes to its log from here on, and its end.
    async fn follow(&self, job: &Stored<Job>, wire: DuplexStream) {
        let source = LogSelection::Job(job.id);
        let mut lines =
            self.tools.logs.lines(LogQuery { app: job.spec.app, source, since: None, last: 0, follow: true });
        let (read, write) = tokio::io::split(wire);
        let (mut reader, mut writer) = (FrameReader::new(read), FrameWriter::new(write));
        loop {
            let line = tokio::select! {
                line = lines.next() => line,
                frame = reader.next() => match frame {
                    Ok(Some(_)) => continue,
                    Ok(None) | Err(_) => return,
                },
            };
            let Some(line) = line else { break };
            let text = format!("{}\n", line.text).into_bytes();
            let frame = match line.stream {
                LogStream::Output(_) => Frame::Output(text),
                _ => Frame::Errors(text),
            };
            if writer.write(frame).await.is_err() {
                return;
            }
        }
        let end = loop {
            match self.end(job.id) {
                Some(end) => break end,
                None => tokio::time::sleep(PAUSE).await,
            }
        };
        // Whoever has left needs no answer.
        let _ = writer.write(end).await;
        let _ = writer.shutdown().await;
    }

    async fn exec(&self, job: &Stored<Job>, request: &ExecRequest, reply: Reply) -> Option<JobId> {
        let process = match self.tools.workplace.process(job, request).await {
            Ok(process) => process,
            Err(error @ WorkplaceError::Refused { .. }) => {
                return refuse(reply, LinkError::Refused { problem: chain(&error) });
            }
            Err(error) => return refuse(reply, LinkError::Unavailable { problem: chain(&error) }),
        };
        let session = match self.tools.runtime.exec(job.id, process).await {
            Ok(session) => session,
            Err(RuntimeError::NotFound { .. }) => {
                let problem = "the job does not run: wait until it is up".to_owned();
                return refuse(reply, LinkError::Refused { problem });
            }
            Err(error) => return refuse(reply, LinkError::Refused { problem: chain(&error) }),
        };
        let wire = accept(reply)?;
        let size = request.size.filter(|_| request.terminal == Terminal::Pty);
        if let Ended::HungUp(session) = pump(session, wire, size).await {
            hang_up(&*session).await;
        }
        None
    }

    async fn logs(&self, query: LogQuery, reply: Reply) -> Option<JobId> {
        let mut lines = self.tools.logs.lines(query);
        let (read, write) = tokio::io::split(accept(reply)?);
        let (mut reader, mut writer) = (FrameReader::new(read), FrameWriter::new(write));
        loop {
            tokio::select! {
                line = lines.next() => match line {
                    Some(line) => writer.write(Frame::Line(line)).await.ok()?,
                    None => break,
                },
                frame = reader.next() => if !matches!(frame, Ok(Some(_))) { return None },
            }
        }
        // Whoever has left needs no end.
        let _ = writer.shutdown().await;
        None
    }
}

fn accept(reply: Reply) -> Option<DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    reply.send(Ok(Box::new(theirs))).ok()?;
    Some(ours)
}

fn refuse(reply: Reply, error: LinkError) -> Option<JobId> {
    // Whoever asked may have gone.
    let _ = reply.send(Err(error));
    None
}

async fn last_word(wire: DuplexStream, frame: Frame) {
    let mut writer = FrameWriter::new(wire);
    // Whoever has left needs no answer.
    let _ = writer.write(frame).await;
    let _ = writer.shutdown().await;
}

/// Ends a further process as a closed terminal would.
async fn hang_up(control: &dyn SessionControl) {
    for signal in [Signal::Hup, Signal::Term, Signal::Kill] {
        if control.signal(signal).await.is_err() {
            return;
        }
        if tokio::time::timeout(GRACE, control.wait()).await.is_ok() {
            return;
        }
    }
}
