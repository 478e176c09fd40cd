use std::fmt;
use std::time::Duration;

use flynn_core::noun::Exit;

/// Why a release cannot serve. As text it is a sentence for the app's developer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// An instance ended as often in a row as is tolerated.
    Crashed {
        /// The instance, such as `web.1`.
        instance: String,
        /// How it ended the last time.
        exit: Exit,
        /// How often in a row.
        times: u32,
    },
    /// An instance was placed and not healthy by its start deadline.
    NeverHealthy {
        /// The instance.
        instance: String,
        /// The start deadline.
        within: Duration,
    },
    /// No node takes an instance.
    NotPlaced {
        /// The instance.
        instance: String,
        /// Why, in the words of the placer.
        reason: String,
        /// The deadline.
        within: Duration,
    },
    /// No instance came up within the progress deadline.
    Stalled {
        /// One that is not healthy.
        instance: String,
        /// What is with it.
        condition: &'static str,
        /// The progress deadline.
        within: Duration,
    },
    /// Something else that a strategy judged.
    Judged(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed { instance, exit, times } => {
                match exit {
                    Exit::Code(code) => write!(f, "{instance} exited with code {code}")?,
                    Exit::Signal(signal) => write!(f, "{instance} was ended by signal {signal}")?,
                    Exit::OutOfMemory => write!(f, "{instance} ran out of memory")?,
                    Exit::OutOfDisk { reason } => write!(f, "{instance} was killed: {reason}")?,
                    Exit::NotStarted { reason } => write!(f, "{instance} could not be started: {reason}")?,
                }
                if *times > 1 { write!(f, " ({times} failed starts in a row)") } else { Ok(()) }
            }
            Self::NeverHealthy { instance, within } => {
                write!(f, "{instance} was not healthy within {} s of its start", within.as_secs())
            }
            Self::NotPlaced { instance, reason, within } => {
                write!(f, "{instance} could not be placed within {} s: {reason}", within.as_secs())
            }
            Self::Stalled { instance, condition, within } => {
                write!(f, "no instance came up for {} s: {instance} {condition}", within.as_secs())
            }
            Self::Judged(text) => f.write_str(text),
        }
    }
}
