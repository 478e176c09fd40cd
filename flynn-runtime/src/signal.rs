use flynn_core::port::{RuntimeError, Signal};

/// The number of a signal on Linux.
pub(crate) fn number(operation: &'static str, signal: Signal) -> Result<i32, RuntimeError> {
    use rustix::process::Signal as Number;
    let number = match signal {
        Signal::Term => Number::TERM,
        Signal::Kill => Number::KILL,
        Signal::Int => Number::INT,
        Signal::Hup => Number::HUP,
        Signal::Quit => Number::QUIT,
        Signal::Usr1 => Number::USR1,
        Signal::Usr2 => Number::USR2,
        other => {
            let problem = format!("the signal {other:?} is not known to this runtime");
            return Err(RuntimeError::Invalid { operation, problem });
        }
    };
    Ok(number.as_raw())
}
