use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use oci_spec::runtime::LinuxSeccomp;
use tokio::io::AsyncWriteExt;

use crate::shim::{Config, sealed_copy};

/// A shim that takes longer to get a job ready is given up.
const LIMIT: Duration = Duration::from_secs(60);

/// The program that supervises jobs, `flynn-shim`.
///
/// It is copied into sealed memory when it is loaded. So a container that gets hold of its supervisor's
/// executable cannot write to it (CVE-2019-5736), all shims share its pages, and replacing the file
/// changes nothing for those that run.
#[derive(Debug, Clone)]
pub struct ShimProgram {
    memory: Arc<File>,
}

impl ShimProgram {
    /// Loads the program from a file. It blocks.
    ///
    /// # Errors
    /// The file cannot be read, or there is no memory for it.
    pub fn load(path: &Path) -> io::Result<Self> {
        Ok(Self { memory: Arc::new(sealed_copy(&File::open(path)?, "flynn-shim")?) })
    }

    /// What the kernel makes of a system call filter.
    pub(crate) async fn compile(&self, filter: &LinuxSeccomp) -> Result<Vec<u64>, LaunchError> {
        let told = serde_json::to_vec(filter).map_err(|error| LaunchError::Broken { source: error.into() })?;
        let compiled = self.run(&["filter"], &told).await?;
        serde_json::from_slice(&compiled).map_err(|error| LaunchError::Broken { source: error.into() })
    }

    /// Starts a shim and returns when its job is ready. The shim stays, and is no child of this process.
    pub(crate) async fn launch(&self, config: &Config) -> Result<(), LaunchError> {
        let told = serde_json::to_vec(config).map_err(|error| LaunchError::Broken { source: error.into() })?;
        self.run(&[], &told).await.map(|_| ())
    }

    /// Runs the program to its end, and gives what it says.
    async fn run(&self, arguments: &[&str], told: &[u8]) -> Result<Vec<u8>, LaunchError> {
        let broken = |source| LaunchError::Broken { source };
        let mut starter = tokio::process::Command::new(format!("/proc/self/fd/{}", self.memory.as_raw_fd()))
            .arg0("flynn-shim")
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        let work = async {
            if let Some(mut input) = starter.stdin.take() {
                input.write_all(told).await?;
            }
            starter.wait_with_output().await
        };
        let output = match tokio::time::timeout(LIMIT, work).await {
            Ok(output) => output.map_err(broken)?,
            Err(_) => {
                return Err(LaunchError::Refused { reason: format!("not ready within {} seconds", LIMIT.as_secs()) });
            }
        };
        if output.status.success() {
            return Ok(output.stdout);
        }
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let reason = if reason.is_empty() { format!("the shim ended with {}", output.status) } else { reason };
        Err(LaunchError::Refused { reason })
    }
}

/// Why a job did not get ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("the shim cannot be run")]
    Broken {
        #[source]
        source: io::Error,
    },
    #[error("{reason}")]
    Refused { reason: String },
}
