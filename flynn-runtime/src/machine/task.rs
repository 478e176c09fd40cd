use std::collections::BTreeMap;
use std::path::PathBuf;

use flynn_core::noun::{Exit, Terminal};
use flynn_core::port::{
    ContainerSpec, Exec, Image, ImageError, Images, Process, Runtime, RuntimeError, Secret, Session, SnapshotKey,
    Snapshots,
};
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, Ids, JobId};
use tokio::io::{AsyncWrite, AsyncWriteExt, copy};

use super::error::unavailable;
use super::{Machine, MachineError};
use crate::ContainerFiles;
use crate::agent::privileges;
use crate::network::Network;

const RUN: &str = "run a task";
const HOSTNAME: &str = "task";

/// A program to run once in an image, to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The manifest of the image, in the blobs of the machine.
    pub image: Digest,
    /// Program and arguments; none for what the image starts by itself.
    pub command: Vec<String>,
    /// Variables beside those of the image.
    pub env: BTreeMap<String, String>,
    /// What it may use; zero is no limit.
    pub resources: Resources,
    /// Tasks of one app reach each other over the network, those of others do not.
    pub app: AppId,
}

impl Task {
    /// A program without further variables and without limits, but that on processes.
    pub fn new<W: Into<String>>(image: Digest, command: impl IntoIterator<Item = W>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self { image, command, env: BTreeMap::new(), resources: Resources::ZERO, app: AppId::NIL }
    }
}

impl Machine {
    /// Runs a task in a container of its own and says how it ended. What it writes is passed on as it comes; it reads
    /// nothing. Afterwards nothing of the container is left.
    ///
    /// Dropping the future leaves the container to [`clear`](Self::clear).
    ///
    /// # Errors
    /// `Invalid` for an image that is not there or cannot be run here; `Unavailable` if the container could not be
    /// made, or `output` and `errors` not be written. A program that does not start is no error: its
    /// exit says so.
    pub async fn run(
        &self,
        task: Task,
        output: impl AsyncWrite + Send + Unpin,
        errors: impl AsyncWrite + Send + Unpin,
    ) -> Result<Exit, MachineError> {
        let job = Ids::from_entropy().next(self.clock.now());
        let image = self.images.resolve(task.image).await.map_err(explain)?;
        let prepared = self.snapshots.prepare(&image.layers).await.map_err(explain)?;
        let ended = async {
            let spec = self.describe(job, task, &image, prepared.mounts).await?;
            self.carry_out(job, spec, output, errors).await
        };
        let ended = ended.await;
        self.take_away(job, &prepared.key).await?;
        ended
    }

    async fn describe(
        &self,
        job: JobId,
        task: Task,
        image: &Image,
        root: Vec<flynn_core::port::Mount>,
    ) -> Result<ContainerSpec, MachineError> {
        let config = self.images.config(image).await.map_err(explain)?;
        let user = self.images.user(image, config.user.as_deref()).await.map_err(explain)?;
        let attachment = Network::attach(&*self.network, job, task.app).await.map_err(unavailable(RUN))?;
        let files = ContainerFiles {
            hostname: HOSTNAME.to_owned(),
            address: Some(attachment.address),
            hosts: Vec::new(),
            resolvers: self.resolvers.clone(),
            authorities: self.authorities.clone(),
        };
        let mounts = files.write(&self.folder_of(job)).map_err(unavailable(RUN))?;
        let command = if task.command.is_empty() { config.command() } else { task.command };
        let env = config.env.into_iter().chain(task.env);
        Ok(ContainerSpec {
            app: task.app,
            hostname: HOSTNAME.to_owned(),
            root,
            mounts,
            process: Process {
                command,
                env: env.map(|(name, value)| (name, Secret::new(value))).collect(),
                directory: config.working_dir.as_deref().unwrap_or("/").into(),
                user: privileges((user.uid, user.gid), self.trusts_root),
                terminal: Terminal::None,
                interactive: true,
            },
            resources: task.resources,
            network: Some(attachment.namespace),
        })
    }

    async fn carry_out(
        &self,
        job: JobId,
        spec: ContainerSpec,
        mut output: impl AsyncWrite + Send + Unpin,
        mut errors: impl AsyncWrite + Send + Unpin,
    ) -> Result<Exit, MachineError> {
        let invalid = |error: RuntimeError| match error {
            RuntimeError::Invalid { problem, .. } => MachineError::Invalid { operation: RUN, problem },
            error => unavailable(RUN)(error),
        };
        self.runtime.create(job, spec).await.map_err(invalid)?;
        let Session { input, output: mut written, errors: complained, control } =
            self.runtime.attach(job).await.map_err(unavailable(RUN))?;
        drop(input);
        if let Err(RuntimeError::Failed { source, .. }) = self.runtime.start(job).await {
            return Ok(Exit::NotStarted { reason: source.to_string() });
        }
        let mut complained = complained.unwrap_or_else(|| Box::new(tokio::io::empty()));
        let (first, second, exit) =
            tokio::join!(copy(&mut written, &mut output), copy(&mut complained, &mut errors), control.wait());
        first.and(second).map_err(unavailable(RUN))?;
        output.flush().await.and(errors.flush().await).map_err(unavailable(RUN))?;
        exit.map_err(unavailable(RUN))
    }

    async fn take_away(&self, job: JobId, snapshot: &SnapshotKey) -> Result<(), MachineError> {
        self.runtime.remove(job).await.map_err(unavailable(RUN))?;
        Network::detach(&*self.network, job).await.map_err(unavailable(RUN))?;
        self.snapshots.discard(snapshot).await.map_err(unavailable(RUN))?;
        match std::fs::remove_dir_all(self.folder_of(job)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unavailable(RUN)(error)),
            _ => Ok(()),
        }
    }

    fn folder_of(&self, job: JobId) -> PathBuf {
        self.directory.join("tasks").join(job.to_string())
    }
}

fn explain(error: ImageError) -> MachineError {
    match error {
        ImageError::NotFound { .. } | ImageError::Invalid { .. } | ImageError::Corrupt { .. } => {
            MachineError::Invalid { operation: RUN, problem: error.to_string() }
        }
        error => unavailable(RUN)(error),
    }
}
