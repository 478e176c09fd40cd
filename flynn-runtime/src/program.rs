use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};
use tokio::io::AsyncWriteExt;

use crate::shim::Config;

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
        let mut source = File::open(path)?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut memory = File::from(rustix::fs::memfd_create("flynn-shim", flags)?);
        io::copy(&mut source, &mut memory)?;
        memory.flush()?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&memory, seals)?;
        Ok(Self { memory: Arc::new(memory) })
    }

    /// Starts a shim and returns when its job is ready. The shim stays, and is no child of this process.
    pub(crate) async fn launch(&self, config: &Config) -> Result<(), LaunchError> {
        let broken = |source| LaunchError::Broken { source };
        let mut starter = tokio::process::Command::new(format!("/proc/self/fd/{}", self.memory.as_raw_fd()))
            .arg0("flynn-shim")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        let told = serde_json::to_vec(config).map_err(|error| broken(error.into()))?;
        let work = async {
            if let Some(mut input) = starter.stdin.take() {
                input.write_all(&told).await?;
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
            return Ok(());
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
