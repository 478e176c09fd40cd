use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flynn_core::noun::Exit;
use flynn_core::{JobId, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ProcessId;

/// The files of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The job's directory, mode 0700.
    pub directory: PathBuf,
}

impl Files {
    /// The name of the socket in the directory. Connect and bind through a descriptor of the directory,
    /// since its path may be longer than an address can be.
    pub const SOCKET: &str = "shim.sock";

    /// The files below `directory`.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// A [`ShimRecord`], from when the job is created.
    pub fn shim(&self) -> PathBuf {
        self.directory.join("shim.json")
    }

    /// An [`ExitRecord`], from when the job has ended.
    pub fn exit(&self) -> PathBuf {
        self.directory.join("exit.json")
    }

    /// A [`LostRecord`], from when the shim was found dead before the job ended.
    pub fn lost(&self) -> PathBuf {
        self.directory.join("lost.json")
    }

    /// The log. Older parts have `.1`, `.2` and so on after the name, the oldest the highest.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Scratch space of the shim.
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }
}

/// Who supervises a job, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimRecord {
    /// [`PROTOCOL`](super::PROTOCOL) of the shim.
    pub protocol: u32,
    /// The job.
    pub job: JobId,
    /// The mark of the runtime it belongs to.
    pub owner: String,
    /// [`boot_id`](super::boot_id) when it was written.
    pub boot: String,
    /// The shim.
    pub shim: ProcessId,
    /// The job's first process, once there is one.
    pub init: Option<ProcessId>,
    /// How far it has come.
    pub phase: Phase,
}

/// How far a job has come; its end is an [`ExitRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Ready, the program not run.
    Created,
    /// The program runs since then.
    Running(Timestamp),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// [`PROTOCOL`](super::PROTOCOL) of the shim.
    pub protocol: u32,
    /// How.
    pub exit: WireExit,
    /// When.
    pub at: Timestamp,
}

/// An [`Exit`] as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireExit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// The kernel killed it for its memory limit.
    OutOfMemory,
    /// It never ran, for this reason.
    NotStarted(String),
}

impl From<WireExit> for Exit {
    fn from(exit: WireExit) -> Self {
        match exit {
            WireExit::Code(code) => Self::Code(code),
            WireExit::Signal(signal) => Self::Signal(signal),
            WireExit::OutOfMemory => Self::OutOfMemory,
            WireExit::NotStarted(reason) => Self::NotStarted { reason },
        }
    }
}

/// That a job's shim died before the job ended, and that what was left has been killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRecord {
    /// What happened.
    pub reason: String,
}

/// Reads a record; none if the file is not there.
///
/// # Errors
/// It cannot be read or understood.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a record so that a reader sees the old one or the new one, also after a power cut.
///
/// # Errors
/// It cannot be written; the old one is then still there.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let directory =
        path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a record needs a name"))?;
    let temporary = path.with_extension("tmp");
    let text = serde_json::to_vec(value)?;
    // What was reserved is written over: space that is given up first may not be had again.
    let mut file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&temporary)?;
    file.write_all(&text)?;
    file.set_len(text.len() as u64)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

/// Sees to it that a record of up to 4 KiB can be written to `path` later, also if the disk is full by then.
///
/// # Errors
/// The disk is full by now.
pub fn reserve_json(path: &Path) -> io::Result<()> {
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(path.with_extension("tmp"))?;
    file.write_all(&[b' '; 4 << 10])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_replaced_as_a_whole_and_a_missing_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("exit.json");
        assert_eq!(read_json::<ExitRecord>(&path).unwrap(), None);
        for exit in [WireExit::Code(3), WireExit::OutOfMemory, WireExit::NotStarted("no such file".to_owned())] {
            let record = ExitRecord { protocol: 1, exit, at: Timestamp::from_millis(7) };
            write_json(&path, &record).unwrap();
            assert_eq!(read_json(&path).unwrap(), Some(record.clone()));
            reserve_json(&path).unwrap();
            assert_eq!(read_json(&path).unwrap(), Some(record.clone()));
            write_json(&path, &record).unwrap();
            assert_eq!(read_json(&path).unwrap(), Some(record));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn records_of_version_1_stay_readable() {
        let exit = r#"{"protocol":1,"exit":{"signal":9},"at":1700000000000,"a later field":true}"#;
        let exit: ExitRecord = serde_json::from_str(exit).unwrap();
        assert_eq!(exit.exit, WireExit::Signal(9));
        let shim = r#"{"protocol":1,"job":"0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b","owner":"o","boot":"b",
            "shim":{"pid":5,"start":6},"init":null,"phase":{"running":8}}"#;
        let shim: ShimRecord = serde_json::from_str(shim).unwrap();
        assert_eq!(shim.phase, Phase::Running(Timestamp::from_millis(8)));
    }
}
