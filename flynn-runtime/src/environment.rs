use std::collections::BTreeMap;

use flynn_core::port::{Process, RuntimeError};

/// Where programs are looked for if the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The opened environment of a process, with a `PATH`.
pub(crate) fn open(operation: &'static str, process: &Process) -> Result<BTreeMap<String, String>, RuntimeError> {
    let invalid = |problem: String| RuntimeError::Invalid { operation, problem };
    if process.command.first().is_none_or(String::is_empty) {
        return Err(invalid("the command is empty: name a program".to_owned()));
    }
    if process.command.iter().any(|part| part.contains('\0')) {
        return Err(invalid("the command has a zero byte".to_owned()));
    }
    if !process.directory.is_absolute() {
        return Err(invalid("the working directory is not absolute".to_owned()));
    }
    let mut env = BTreeMap::new();
    for (key, value) in &process.env {
        let value = std::str::from_utf8(value.expose()).ok().filter(|value| !value.contains('\0'));
        match value {
            Some(value) if !key.is_empty() && !key.contains(['=', '\0']) => {
                env.insert(key.clone(), value.to_owned());
            }
            _ => return Err(invalid(format!("the variable `{key}` is not text without zero bytes"))),
        }
    }
    env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    Ok(env)
}
