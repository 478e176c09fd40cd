use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::JobId;
use flynn_core::name::NodeName;
use flynn_core::noun::{Job, Purpose, Stored, Terminal};
use flynn_core::port::{ContainerSpec, ExecRequest, Mount, MountSource, Process, Secret};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::environment::{environment, hostname};
use super::{Environments, Workplace, WorkplaceError};
use crate::agent::pass::{Kept, is_attached};
use crate::shim::{read_json, write_json};

/// The workplace of a [`ProcessRuntime`](crate::ProcessRuntime), for development and tests.
///
/// **A job's image is not used**: its program is one of the machine and runs in one directory that all jobs
/// share. A job that serves gets a free port of the loopback device, told it as `PORT`; another program of the
/// machine may take that port before the job does.
#[derive(Clone)]
pub struct PlainWorkplace {
    records: PathBuf,
    programs: PathBuf,
    env: Vec<(String, String)>,
    node: NodeName,
    environments: Arc<dyn Environments>,
    /// A port is chosen and taken in one step.
    turn: Arc<Mutex<()>>,
}

impl std::fmt::Debug for PlainWorkplace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainWorkplace").field("programs", &self.programs).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    port: Option<u16>,
}

impl PlainWorkplace {
    /// Keeps its records in `records` and runs programs in the directory `programs` with `env` beneath the
    /// environment of each job, as an image would give it. It blocks.
    ///
    /// # Errors
    /// The directory for the records cannot be made.
    pub fn open(
        records: &Path,
        programs: &Path,
        env: Vec<(String, String)>,
        node: NodeName,
        environments: Arc<dyn Environments>,
    ) -> io::Result<Self> {
        fs::create_dir_all(records)?;
        let (records, programs) = (std::path::absolute(records)?, std::path::absolute(programs)?);
        Ok(Self { records, programs, env, node, environments, turn: Arc::default() })
    }

    fn record(&self, job: JobId) -> PathBuf {
        self.records.join(format!("{job}.json"))
    }

    fn read_all(&self) -> io::Result<BTreeMap<JobId, Record>> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(&self.records)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
            if let (Some(Ok(job)), Some(record)) = (name.map(str::parse), read_json(&path)?) {
                all.insert(job, record);
            }
        }
        Ok(all)
    }

    /// The port of a job that serves, given once.
    async fn port(&self, job: &Stored<Job>) -> io::Result<Option<u16>> {
        let _turn = self.turn.lock().await;
        let all = self.read_all()?;
        if let Some(record) = all.get(&job.id) {
            return Ok(record.port);
        }
        let serves = matches!(job.spec.purpose, Purpose::Service { .. }) && job.spec.workload.process.port.is_some();
        let port = match serves {
            true => Some(free_port(&all)?),
            false => None,
        };
        write_json(&self.record(job.id), &Record { port })?;
        Ok(port)
    }

    async fn env(&self, job: &Stored<Job>) -> Result<BTreeMap<String, Secret>, WorkplaceError> {
        let own = self.environments.open(job.id).await?;
        let port = self.port(job).await.map_err(|error| unavailable(error, "no port is free for it"))?;
        Ok(environment(&self.env, own, job, &self.node, port))
    }
}

fn unavailable(error: io::Error, what: &str) -> WorkplaceError {
    WorkplaceError::unavailable(what)(error.into())
}

/// A port that nobody listens on and no other job was given.
fn free_port(taken: &BTreeMap<JobId, Record>) -> io::Result<u16> {
    let mut held = Vec::new();
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if taken.values().all(|record| record.port != Some(port)) {
            return Ok(port);
        }
        // Held on to, so that the next try gets another one.
        held.push(listener);
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "all ports that the machine offers belong to jobs"))
}

#[async_trait]
impl Workplace for PlainWorkplace {
    async fn prepare(&self, job: &Stored<Job>) -> Result<ContainerSpec, WorkplaceError> {
        let env = self.env(job).await?;
        let terminal = match job.spec.purpose {
            Purpose::OneOff { terminal, .. } => terminal,
            Purpose::Service { .. } => Terminal::None,
        };
        let source = MountSource::Bind(self.programs.clone());
        Ok(ContainerSpec {
            app: job.spec.app,
            hostname: hostname(job),
            root: vec![Mount { source, target: "/".into(), read_only: false }],
            mounts: vec![],
            process: Process {
                command: job.spec.workload.process.command.clone(),
                env,
                directory: "/".into(),
                user: (1000, 1000),
                terminal,
                interactive: is_attached(job),
            },
            resources: job.spec.resources,
            network: None,
        })
    }

    async fn process(&self, job: &Stored<Job>, request: &ExecRequest) -> Result<Process, WorkplaceError> {
        let mut env = self.env(job).await?;
        env.extend(request.env.iter().map(|(key, value)| (key.as_str().to_owned(), Secret::new(value.as_str()))));
        Ok(Process {
            command: request.command.clone(),
            env,
            directory: self.programs.clone(),
            user: (1000, 1000),
            terminal: request.terminal,
            interactive: true,
        })
    }

    async fn release(&self, job: JobId) -> Result<(), WorkplaceError> {
        match fs::remove_file(self.record(job)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(unavailable(error, "its port cannot be given back"))
            }
            _ => Ok(()),
        }
    }

    async fn list(&self) -> Result<BTreeMap<JobId, Kept>, WorkplaceError> {
        let all = self.read_all().map_err(|error| unavailable(error, "the ports of jobs cannot be read"))?;
        let host = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Ok(all.into_iter().map(|(job, Record { port })| (job, Kept { host, port })).collect())
    }
}
