//! The jobs that one runtime supervises, whatever they run as: a directory each, and a shim each.

mod place;
mod turns;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::port::{Container, ContainerState, Process, RuntimeError, Session, Signal, Wakes};
use flynn_core::{BoxError, JobId};

use crate::client::{CallError, Client};
use crate::program::{LaunchError, ShimProgram};
use crate::session::join;
use crate::shim::{Command, Config, ExecProcess, Files, ShimRecord, Target, Trouble};
use crate::signal::number;
use crate::wakes::wakes;
pub(crate) use place::Place;
use place::{Found, Seized};
pub(crate) use turns::Turns;

/// How long a shim may take to remove its job before it is removed itself.
const REMOVAL_LIMIT: Duration = Duration::from_secs(15);
/// How long a shim may take to answer; it gives a program half of that to start.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at a lock that is about to be free.
const PAUSE: Duration = Duration::from_millis(2);

/// What is left of a job when its shim is dead.
pub(crate) trait Remains: Send + Sync {
    /// Kills and takes away all of it. It may block. It can be repeated.
    fn sweep(&self, job: JobId, record: Option<&ShimRecord>) -> io::Result<()>;
}

#[derive(Clone)]
pub(crate) struct Jobs {
    place: Arc<Place>,
    program: ShimProgram,
    turns: Arc<Turns>,
    remains: Arc<dyn Remains>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Jobs {
    /// Takes a directory for `owner`, or comes back to it. It blocks.
    pub(crate) fn open(
        directory: &Path,
        owner: &str,
        program: ShimProgram,
        remains: Arc<dyn Remains>,
    ) -> Result<Self, RuntimeError> {
        let place = Place::open(directory, owner)
            .map_err(|error| RuntimeError::Failed { operation: "open", source: error.into() })?;
        Ok(Self { place: Arc::new(place), program, turns: Arc::default(), remains })
    }

    pub(crate) fn lock(&self, job: JobId) -> std::path::PathBuf {
        self.place.lock(job)
    }

    pub(crate) fn files(&self, job: JobId) -> Files {
        self.place.files(job)
    }

    /// The jobs that have a directory. It blocks.
    pub(crate) fn known(&self) -> io::Result<Vec<JobId>> {
        self.place.jobs()
    }

    /// Takes away locks of jobs whose removal was cut short. No other process may be making jobs here. It blocks.
    pub(crate) fn sweep_locks(&self) -> io::Result<()> {
        for job in self.place.locked()? {
            if let Some(_turn) = self.turns.try_now(job) {
                self.place.delete_stray_lock(job)?;
            }
        }
        Ok(())
    }

    /// Makes a job ready, unless it is there.
    pub(crate) async fn create(&self, job: JobId, config: impl FnOnce(&Files) -> Config) -> Result<(), RuntimeError> {
        const OPERATION: &str = "create";
        let turn = self.turns.wait(job).await;
        loop {
            match self.look(OPERATION, job).await? {
                Found::Container(_) => return Ok(()),
                Found::Nothing => break,
                // An earlier call was dropped while its shim was at work.
                Found::Starting => tokio::time::sleep(PAUSE).await,
                Found::Orphan(Some(_)) => {
                    self.adopt_orphan(OPERATION, job).await?;
                    return Ok(());
                }
                Found::Orphan(None) => self.adopt_orphan(OPERATION, job).await?,
            }
        }
        let made = self.blocking(OPERATION, move |jobs| jobs.place.make(job)).await;
        let launched = match made {
            Ok(files) => self.program.launch(&config(&files)).await,
            Err(error) => {
                self.clean(job).await;
                return Err(error);
            }
        };
        if let Err(error) = launched {
            self.clean(job).await;
            return Err(match error {
                LaunchError::Broken { .. } => RuntimeError::Unavailable { operation: OPERATION, source: error.into() },
                LaunchError::Refused { .. } => RuntimeError::Failed { operation: OPERATION, source: error.into() },
            });
        }
        drop(turn);
        Ok(())
    }

    /// Takes away what a failed creation left. What is still left after that is found by the next `list`.
    async fn clean(&self, job: JobId) {
        if let Err(error) = self.take_away("create", job).await {
            tracing::warn!(%job, %error, "a job that could not be created left something behind");
        }
    }

    pub(crate) async fn start(&self, job: JobId) -> Result<(), RuntimeError> {
        self.ask("start", job, Command::Start).await
    }

    pub(crate) async fn signal(&self, job: JobId, signal: Signal) -> Result<(), RuntimeError> {
        let number = number("signal", signal)?;
        self.ask("signal", job, Command::Signal { target: Target::Init, number }).await
    }

    /// Asks the shim of a job that has not ended; does nothing for one that has.
    async fn ask(&self, operation: &'static str, job: JobId, command: Command) -> Result<(), RuntimeError> {
        match self.look(operation, job).await? {
            Found::Nothing | Found::Starting | Found::Orphan(None) => Err(RuntimeError::NotFound { operation, job }),
            Found::Orphan(Some(_)) => self.adopt_orphan(operation, job).await,
            Found::Container(ContainerState::Exited { .. } | ContainerState::Lost { .. }) => Ok(()),
            Found::Container(_) => {
                let ask = async { Client::connect(&self.files(job)).await?.call(command).await };
                let answer = tokio::time::timeout(ANSWER_LIMIT, ask).await;
                let answer = answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
                answer.map(drop).map_err(|error| refused(operation, job, error))
            }
        }
    }

    pub(crate) async fn remove(&self, job: JobId) -> Result<(), RuntimeError> {
        let _turn = self.turns.wait(job).await;
        self.take_away("remove", job).await
    }

    /// Ends the shim and all it supervises, sweeps, and deletes the files.
    async fn take_away(&self, operation: &'static str, job: JobId) -> Result<(), RuntimeError> {
        let all = async {
            loop {
                self.end_shim(operation, job).await?;
                // A shim that was being launched may have taken its place in between.
                if self.blocking(operation, move |jobs| jobs.delete(job)).await? {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(3 * REMOVAL_LIMIT, all).await.unwrap_or_else(|_| {
            let source = BoxError::from("somebody else is at work on the job");
            Err(RuntimeError::Failed { operation, source })
        })
    }

    async fn end_shim(&self, operation: &'static str, job: JobId) -> Result<(), RuntimeError> {
        let Some(supervisor) = self.blocking(operation, move |jobs| jobs.place.supervisor(job)).await? else {
            return Ok(());
        };
        let files = self.files(job);
        let polite = async {
            let mut client = Client::connect(&files).await?;
            client.call(Command::Remove).await?;
            client.closed().await;
            Ok::<_, CallError>(())
        };
        match tokio::time::timeout(REMOVAL_LIMIT, polite).await {
            Ok(Ok(())) => {}
            Ok(Err(CallError::Refused { trouble, message })) => {
                return Err(refused(operation, job, CallError::Refused { trouble, message }));
            }
            // It is stuck, dying, or was never ready; then it has children that are not a job's yet.
            Ok(Err(_)) | Err(_) => {
                supervisor.kill_group().map_err(|error| RuntimeError::Failed { operation, source: error.into() })?;
            }
        }
        let free = async {
            while self.blocking(operation, move |jobs| jobs.place.supervisor(job)).await?.is_some() {
                tokio::time::sleep(PAUSE).await;
            }
            Ok(())
        };
        tokio::time::timeout(REMOVAL_LIMIT, free).await.unwrap_or_else(|_| {
            let source = BoxError::from("the supervisor of the job does not die");
            Err(RuntimeError::Failed { operation, source })
        })
    }

    /// Sweeps and deletes the files, unless somebody supervises the job, and says whether it did. It blocks.
    fn delete(&self, job: JobId) -> io::Result<bool> {
        let _held = match self.place.seize(job)? {
            Seized::ByShim => return Ok(false),
            held => held,
        };
        let record = crate::shim::read_json(&self.files(job).shim())?;
        self.remains.sweep(job, record.as_ref())?;
        self.place.delete(job)?;
        Ok(true)
    }

    pub(crate) async fn list(&self) -> Result<Vec<Container>, RuntimeError> {
        const OPERATION: &str = "list";
        let mut containers = Vec::new();
        for job in self.blocking(OPERATION, |jobs| jobs.place.jobs()).await? {
            let mut found = self.look(OPERATION, job).await?;
            if let Found::Orphan(_) = found {
                // Whoever has the turn is creating or removing it.
                let Some(_turn) = self.turns.try_now(job) else {
                    continue;
                };
                self.adopt_orphan(OPERATION, job).await?;
                found = self.look(OPERATION, job).await?;
            }
            if let Found::Container(state) = found {
                containers.push(Container { job, state });
            }
        }
        Ok(containers)
    }

    /// Looks after a job whose shim is dead: what is left is killed; a job that was ready is lost, one that
    /// never was is forgotten.
    async fn adopt_orphan(&self, operation: &'static str, job: JobId) -> Result<(), RuntimeError> {
        self.blocking(operation, move |jobs| {
            let _held @ Seized::Held { .. } = jobs.place.seize(job)? else {
                return Ok(());
            };
            let Found::Orphan(record) = jobs.place.look(job)? else {
                return Ok(());
            };
            jobs.remains.sweep(job, record.as_ref())?;
            match record {
                None => jobs.place.delete(job),
                Some(record) => {
                    let reason = if record.boot == crate::shim::boot_id()? {
                        "its supervisor died"
                    } else {
                        "the machine was restarted"
                    };
                    jobs.place.lose(job, reason.to_owned())
                }
            }
        })
        .await
    }

    pub(crate) fn exits(&self) -> Wakes {
        wakes(&self.place.locks())
    }

    pub(crate) async fn exec(
        &self,
        job: JobId,
        process: &Process,
        described: ExecProcess,
    ) -> Result<Session, RuntimeError> {
        let command = Command::Exec {
            process: Box::new(described),
            terminal: process.terminal == flynn_core::noun::Terminal::Pty,
            interactive: process.interactive,
            user: process.user,
        };
        self.open_session("exec", job, command).await
    }

    pub(crate) async fn attach(&self, job: JobId) -> Result<Session, RuntimeError> {
        self.open_session("attach", job, Command::Attach).await
    }

    async fn open_session(
        &self,
        operation: &'static str,
        job: JobId,
        command: Command,
    ) -> Result<Session, RuntimeError> {
        if matches!(self.look(operation, job).await?, Found::Nothing | Found::Starting | Found::Orphan(None)) {
            return Err(RuntimeError::NotFound { operation, job });
        }
        let files = self.files(job);
        let ask = async {
            let mut client = Client::connect(&files).await?;
            let opened = client.call(command).await?;
            Ok::<_, CallError>((client, opened))
        };
        let (client, opened) = ask.await.map_err(|error| refused(operation, job, error))?;
        join(operation, job, files, client, opened)
    }

    async fn look(&self, operation: &'static str, job: JobId) -> Result<Found, RuntimeError> {
        self.blocking(operation, move |jobs| jobs.place.look(job)).await
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let jobs = self.clone();
        let failed = |source: BoxError| RuntimeError::Failed { operation, source };
        match tokio::task::spawn_blocking(move || work(&jobs)).await {
            Ok(result) => result.map_err(|error| failed(error.into())),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// What a caller can do about what a shim said.
pub(crate) fn refused(operation: &'static str, job: JobId, error: CallError) -> RuntimeError {
    match error {
        CallError::Refused { trouble: Trouble::NotFound, .. } => RuntimeError::NotFound { operation, job },
        CallError::Refused { trouble: Trouble::Invalid, message } => {
            RuntimeError::Invalid { operation, problem: message }
        }
        error => RuntimeError::Failed { operation, source: error.into() },
    }
}

/// A shim answered what nobody asked.
pub(crate) fn unexpected(operation: &'static str) -> RuntimeError {
    RuntimeError::Failed { operation, source: CallError::Confused.into() }
}
