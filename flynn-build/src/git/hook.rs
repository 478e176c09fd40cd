//! The program that git runs as its proc-receive hook.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

pub(crate) const SOCKET: &str = "FLYNN_GIT_SOCKET";
pub(crate) const SECRET: &str = "FLYNN_GIT_SECRET";

/// Where a frame of the service goes.
pub(crate) const TO_GIT: u8 = 1;
pub(crate) const TO_PUSHER: u8 = 2;
pub(crate) const EXIT: u8 = 3;

/// The most bytes of one frame.
pub(crate) const MOST_FRAME: usize = 64 << 10;

/// Runs the hook: a pipe between git and the service, which decides everything. `variable` reads the environment that
/// git passes on; a binary gives it `std::env::var_os`.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     flynn_build::git::hook::run(|name| std::env::var_os(name))
/// }
/// ```
pub fn run(variable: impl Fn(&str) -> Option<OsString>) -> ExitCode {
    let outcome = match (variable(SOCKET), variable(SECRET)) {
        (Some(socket), Some(secret)) => relay(&socket, &secret),
        _ => Err(io::Error::other("it runs only as a hook of the git service")),
    };
    outcome.unwrap_or_else(|error| {
        // Standard error is what the pusher reads.
        let _ = writeln!(io::stderr(), "the push was not deployed: the git service is gone ({error})");
        ExitCode::FAILURE
    })
}

fn relay(socket: &OsString, secret: &OsString) -> io::Result<ExitCode> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(secret.as_bytes())?;
    stream.write_all(b"\n")?;
    let mut to_service = stream.try_clone()?;
    // It ends with git's side of the pipe or with this process, whichever is first.
    std::thread::spawn(move || io::copy(&mut io::stdin(), &mut to_service));
    let (mut to_git, mut to_pusher) = (io::stdout(), io::stderr());
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        if length > MOST_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut content = vec![0; length];
        stream.read_exact(&mut content)?;
        match kind {
            TO_GIT => to_git.write_all(&content).and_then(|()| to_git.flush())?,
            TO_PUSHER => to_pusher.write_all(&content)?,
            EXIT => return Ok(ExitCode::from(content.first().copied().unwrap_or(1))),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
