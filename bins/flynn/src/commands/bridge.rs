//! Between the user's terminal or pipes and a process of an app.

use std::io::{self, Write};
use std::process::ExitCode;

use flynn_core::client::{Joined, JoinedInput, JoinedOutput};
use flynn_core::link::Frame;
use flynn_core::noun::Exit;
use flynn_core::port::Signal;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::terminal::{self, Raw};

/// Passes everything on until the process ends, and gives its exit code.
///
/// With `raw` the user's terminal is the process's own: every key goes to it, Ctrl-C too. Without, an interrupt of
/// the user's terminal is sent to it as a signal; a second one ends this program.
///
/// # Errors
/// The way broke, or the process could not be run.
pub(super) async fn run(joined: Joined, raw: bool) -> Result<ExitCode, Failure> {
    let Joined { input, output } = joined;
    let terminal = if raw {
        Some(Raw::enter().map_err(|error| Failure::failed(format!("cannot use the terminal: {error}")))?)
    } else {
        None
    };
    let ended = tokio::select! {
        ended = receive(output) => ended,
        failed = send(input, raw) => Err(failed),
        failed = ending() => Err(failed),
    };
    drop(terminal);
    code(ended?)
}

/// Shows what a process writes that takes no input, until it ends or the user has seen enough.
///
/// # Errors
/// The way broke.
pub(super) async fn watch(joined: Joined) -> Result<ExitCode, Failure> {
    let Joined { input, output } = joined;
    let ended = tokio::select! {
        ended = receive(output) => ended,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        failed = ending() => Err(failed),
    };
    drop(input);
    code(ended?)
}

/// The code by which this program ends as the remote one did.
fn code(exit: Exit) -> Result<ExitCode, Failure> {
    if let Exit::NotStarted { reason } = &exit {
        return Err(Failure::not_started(format!("the process was not started: {reason}"), exit.shell_code()));
    }
    if let Exit::OutOfDisk { reason } = &exit {
        let _ = writeln!(io::stderr(), "the process was killed: {reason}; see `flynn limits`");
    }
    if exit == Exit::OutOfMemory {
        // The code says killed; only a word can say why.
        let _ =
            writeln!(io::stderr(), "the process was killed: it used more memory than its limit; see `flynn limits`");
    }
    // What is no byte, no process of this system can end with.
    Ok(ExitCode::from(u8::try_from(exit.shell_code()).unwrap_or(u8::MAX)))
}

/// Writes what the process says until it says how it ended.
async fn receive(mut output: JoinedOutput) -> Result<Exit, Failure> {
    while let Some(frame) = output.next().await? {
        match frame {
            Frame::Output(bytes) => write(io::stdout().lock(), &bytes)?,
            Frame::Errors(bytes) => write(io::stderr().lock(), &bytes)?,
            Frame::Exit(exit) => return Ok(exit),
            Frame::Problem(problem) if problem.contains(Exit::NO_PROGRAM) => {
                let exit = Exit::NotStarted { reason: problem.clone() };
                return Err(Failure::not_started(problem, exit.shell_code()));
            }
            Frame::Problem(problem) => return Err(Failure::failed(problem)),
            _ => {}
        }
    }
    Err(Failure::unreachable("the cluster hung up before the process ended; see `flynn ps` whether it goes on"))
}

fn write(mut stream: impl Write, bytes: &[u8]) -> Result<(), Failure> {
    stream.write_all(bytes)?;
    Ok(stream.flush()?)
}

/// Sends what the user types, does and resizes. It ends only if that goes wrong.
async fn send(mut input: JoinedInput, raw: bool) -> Failure {
    match send_all(&mut input, raw).await {
        Err(failure) => failure,
        // A way that broke because the process ended is no failure: its exit is on the way.
        Ok(()) => std::future::pending().await,
    }
}

async fn send_all(input: &mut JoinedInput, raw: bool) -> Result<(), Failure> {
    let handler = |error: io::Error| Failure::failed(format!("cannot wait for signals: {error}"));
    let mut resized = signal(SignalKind::window_change()).map_err(handler)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(handler)?;
    // From here on no change of the size is missed.
    if let Some(size) = terminal::size().filter(|_| raw)
        && input.send(Frame::Resize(size)).await.is_err()
    {
        return Ok(());
    }
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; 16 << 10];
    let mut open = true;
    let mut interrupts = 0;
    loop {
        let frame = tokio::select! {
            read = stdin.read(&mut buffer), if open => match read {
                Ok(0) => { open = false; Frame::InputEnd }
                Ok(length) => Frame::Input(buffer[..length].to_vec()),
                Err(error) => return Err(Failure::failed(format!("cannot read standard input: {error}"))),
            },
            Some(()) = resized.recv() => match terminal::size().filter(|_| raw) {
                Some(size) => Frame::Resize(size),
                None => continue,
            },
            Some(()) = interrupted.recv() => {
                interrupts += 1;
                if interrupts > 1 {
                    return Err(Failure::failed("interrupted; the process may go on, see `flynn ps`"));
                }
                Frame::Signal(Signal::Int)
            }
        };
        if input.send(frame).await.is_err() {
            return Ok(());
        }
    }
}

/// Waits for a signal that ends this program, so that the terminal is restored before.
async fn ending() -> Failure {
    let handlers = (signal(SignalKind::terminate()), signal(SignalKind::hangup()), signal(SignalKind::quit()));
    let (Ok(mut terminate), Ok(mut hangup), Ok(mut quit)) = handlers else {
        return Failure::failed("cannot wait for signals");
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
        _ = quit.recv() => {}
    }
    Failure::failed("ended by a signal; the process may go on, see `flynn ps`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remote_exit_code_is_passed_on() {
        let shown = |exit| code(exit).map(|code| format!("{code:?}")).map_err(|failure| failure.code());
        assert_eq!(shown(Exit::Code(7)), Ok(format!("{:?}", ExitCode::from(7))));
        assert_eq!(shown(Exit::Signal(9)), Ok(format!("{:?}", ExitCode::from(137))));
        assert_eq!(shown(Exit::OutOfMemory), Ok(format!("{:?}", ExitCode::from(137))));
        let missing = format!("created: {}`nosuch`", Exit::NO_PROGRAM);
        assert_eq!(shown(Exit::NotStarted { reason: missing }), Err(127));
        assert_eq!(shown(Exit::NotStarted { reason: "it may not be run".into() }), Err(126));
    }
}
