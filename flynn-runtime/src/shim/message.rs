use std::fmt;

use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

use super::{ExitRecord, PlainProcess, ShimRecord};

/// A line to the shim.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// [`PROTOCOL`](super::PROTOCOL) of the sender.
    pub v: u32,
    /// The reply carries the same number.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub command: Command,
}

/// What a shim can be asked. All of these can be asked on one connection, in any order; replies come when
/// they are ready.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Command {
    /// How far is the job?
    State,
    /// Run the program.
    Start,
    /// Send a signal.
    Signal {
        /// To which process.
        target: Target,
        /// The signal's number.
        number: i32,
    },
    /// Run another process beside the first. It is hung up on when this connection closes.
    Exec {
        /// The process.
        process: Box<ExecProcess>,
        /// Whether it has a terminal.
        terminal: bool,
        /// Whether its input is wanted.
        interactive: bool,
        /// The user and group that own its pipes.
        user: (u32, u32),
    },
    /// Join the streams of the first process.
    Attach,
    /// Tell a terminal its size.
    Resize {
        /// Whose terminal.
        target: Target,
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// Reply when it has ended.
    Wait {
        /// What.
        target: Target,
    },
    /// Kill all there is, reply, and end.
    Remove,
}

/// A process of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The first.
    Init,
    /// One that was run by `Exec`, under the number of its reply.
    Exec(u64),
}

/// A further process.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "it is boxed where it is stored")]
pub enum ExecProcess {
    /// Without isolation.
    Plain(PlainProcess),
    /// In the container.
    Container(Process),
}

impl fmt::Debug for ExecProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExecProcess(..)")
    }
}

/// A line from the shim.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reply {
    /// [`PROTOCOL`](super::PROTOCOL) of the shim.
    pub v: u32,
    /// The number of the request.
    pub id: u64,
    /// What it has to say.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What a shim answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Answer {
    /// Done.
    Done,
    /// How far the job is.
    State {
        /// Up to its end.
        record: ShimRecord,
        /// Its end, if it has ended.
        exit: Option<ExitRecord>,
    },
    /// Streams are open. Their descriptors come with this line, in this order.
    Open {
        /// What names the process from now on.
        target: Target,
        /// What the descriptors are.
        streams: Vec<StreamKind>,
    },
    /// It has ended.
    Ended {
        /// How.
        exit: ExitRecord,
    },
    /// It was not done.
    Error {
        /// Whose fault it is.
        trouble: Trouble,
        /// What is wrong.
        message: String,
    },
}

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// A pipe that the process reads.
    Input,
    /// A pipe that it writes.
    Output,
    /// A pipe for its errors.
    Errors,
    /// The far side of its terminal.
    Terminal,
    /// A socket that carries input in one direction and output in the other.
    Both,
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// What is asked for is not there.
    NotFound,
    /// It can never succeed.
    Invalid,
    /// It was tried and failed.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 1 wrote is understood for as long as shims of it may live.
    #[test]
    fn lines_of_version_1_stay_readable() {
        let check = |line: &str| serde_json::from_str::<Request>(line).unwrap().command;
        assert!(matches!(check(r#"{"v":1,"id":1,"op":"state"}"#), Command::State));
        assert!(matches!(
            check(r#"{"v":1,"id":1,"op":"signal","target":"init","number":15,"later":0}"#),
            Command::Signal { target: Target::Init, number: 15 }
        ));
        assert!(matches!(
            check(r#"{"v":1,"id":1,"op":"wait","target":{"exec":3}}"#),
            Command::Wait { target: Target::Exec(3) }
        ));
        let reply = r#"{"v":1,"id":2,"is":"open","target":{"exec":3},"streams":["input","output"]}"#;
        let reply: Reply = serde_json::from_str(reply).unwrap();
        assert!(matches!(reply.answer, Answer::Open { target: Target::Exec(3), .. }));
    }
}
