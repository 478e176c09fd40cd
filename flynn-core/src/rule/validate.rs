use std::borrow::Cow;
use std::time::Duration;

use crate::value::{Dimension, Env, Resources};

/// A value that cannot be, named by its field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field, as a path such as `processes.web.command`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub problem: Cow<'static, str>,
}

impl Invalid {
    /// An invalid `field` and its `problem`.
    pub fn new(field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// At most this many environment variables an app.
const ENV_ENTRIES: usize = 1_000;
/// At most this many sealed bytes of environment an app; Linux takes 2 MiB of arguments and environment together.
const ENV_BYTES: usize = 1 << 20;
/// At most this many bytes of one command line.
const COMMAND_BYTES: usize = 64 << 10;

pub(crate) fn check_env(field: &str, env: &Env) -> Result<(), Invalid> {
    if env.len() > ENV_ENTRIES {
        return Err(Invalid::new(field, format!("{} variables are more than the {ENV_ENTRIES} allowed", env.len())));
    }
    let bytes: usize = env.iter().map(|(key, value)| key.as_str().len() + value.bytes.len()).sum();
    if bytes > ENV_BYTES {
        return Err(Invalid::new(field, format!("{bytes} bytes are more than the {ENV_BYTES} allowed")));
    }
    Ok(())
}

pub(crate) fn check_command(field: &str, command: &[String]) -> Result<(), Invalid> {
    if command.first().is_none_or(String::is_empty) {
        return Err(Invalid::new(field, "the command is empty: give a program and its arguments"));
    }
    if command.iter().any(|argument| argument.contains('\0')) {
        return Err(Invalid::new(field, "an argument holds a NUL byte, which no program can receive"));
    }
    let bytes: usize = command.iter().map(String::len).sum();
    if bytes > COMMAND_BYTES {
        return Err(Invalid::new(field, format!("{bytes} bytes are more than the {COMMAND_BYTES} allowed")));
    }
    Ok(())
}

/// Words of the platform about something, which may have several lines.
pub(crate) fn check_length(field: &str, text: &str) -> Result<(), Invalid> {
    const LONGEST: usize = 16 << 10;
    if text.len() > LONGEST {
        return Err(Invalid::new(field, format!("{} bytes are more than the {LONGEST} allowed", text.len())));
    }
    Ok(())
}

/// Numbers of releases and builds, which are counted on.
pub(crate) fn check_number(field: &str, number: u64) -> Result<(), Invalid> {
    if number == 0 || number > u64::from(u32::MAX) {
        return Err(Invalid::new(field, format!("{number} is not from 1 to {}", u32::MAX)));
    }
    Ok(())
}

/// No object takes so much that the sums over all objects could overflow.
pub(crate) fn check_resources(field: &str, resources: Resources) -> Result<(), Invalid> {
    const MOST: u64 = 1 << 50;
    for dimension in Dimension::ALL {
        let amount = resources.get(dimension);
        if amount > MOST {
            let problem = format!("{amount} of {dimension} is more than the {MOST} allowed");
            return Err(Invalid::new(field, problem));
        }
    }
    Ok(())
}

/// Stored forms count whole milliseconds.
pub(crate) fn check_span(field: String, span: Duration, shortest: Duration, longest: Duration) -> Result<(), Invalid> {
    if span < shortest || span > longest || !span.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(Invalid::new(field, format!("use whole milliseconds from {shortest:?} to {longest:?}")));
    }
    Ok(())
}

pub(crate) fn check_text(field: &str, text: &str, longest: usize) -> Result<(), Invalid> {
    if text.len() > longest {
        return Err(Invalid::new(field, format!("{} bytes are more than the {longest} allowed", text.len())));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(field, "control characters are not allowed"));
    }
    Ok(())
}
