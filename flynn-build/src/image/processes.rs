//! From a command line to what is run.

use std::collections::BTreeMap;
use std::time::Duration;

use flynn_core::name::ProcessName;
use flynn_core::noun::{HealthCheck, Probe, ProcessType};

/// The port that processes serve on in their containers.
const PORT: u16 = 8080;

/// What is run for the commands of a `Procfile`. Those named `web` or `…-web` serve, and are asked whether they do.
pub fn process_types(commands: &BTreeMap<ProcessName, String>) -> BTreeMap<ProcessName, ProcessType> {
    commands.iter().map(|(name, command)| (name.clone(), process_type(name, shell(command)))).collect()
}

/// What is run for a program and its arguments.
pub fn process_type(name: &ProcessName, command: Vec<String>) -> ProcessType {
    let mut process = ProcessType::new(command);
    if name.as_str() == "web" || name.as_str().ends_with("-web") {
        process.port = Some(PORT);
        let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(2));
        process.check = Some(HealthCheck { probe: Probe::Tcp, interval, timeout, threshold: 3 });
    }
    process
}

/// A command line for a shell. Where it is one program, that takes the place of the shell, so that signals reach it.
fn shell(command: &str) -> Vec<String> {
    let line = if is_one_program(command) { format!("exec {command}") } else { command.to_owned() };
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
}

fn is_one_program(command: &str) -> bool {
    /// Words that a shell understands itself, or that begin something longer.
    const OWN: [&str; 26] = [
        "!", ".", ":", "[", "break", "case", "cd", "command", "continue", "eval", "exec", "exit", "export", "for",
        "if", "read", "return", "set", "shift", "source", "trap", "ulimit", "umask", "unset", "until", "while",
    ];
    let first = command.split_whitespace().next().unwrap_or_default();
    !OWN.contains(&first) && !first.contains('=') && !command.contains([';', '&', '|', '(', '`', '{', '#', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_program_takes_the_place_of_the_shell() {
        for one in ["./serve", "gunicorn app:app --bind 0.0.0.0:$PORT", "python -u w.py > /dev/null", "a 'b c' \"$D\""]
        {
            assert_eq!(shell(one), ["/bin/sh", "-c", &format!("exec {one}")]);
        }
        let several = [
            "a && b",
            "a; b",
            "a | b",
            "A=b c",
            "cd x",
            "exec a",
            "(a)",
            "a $(b)",
            "a `b`",
            "a &",
            ". ./env",
            "! a",
            "{ a; }",
            "a # b",
            "if a",
            "a ${B:-c}",
        ];
        for several in several {
            assert_eq!(shell(several), ["/bin/sh", "-c", several]);
        }
    }

    #[test]
    fn what_is_named_web_serves() {
        let commands =
            ["web", "admin-web", "worker", "webhook"].map(|n| (ProcessName::new(n).unwrap(), "./x".to_owned()));
        let serving: Vec<_> = process_types(&BTreeMap::from(commands))
            .into_iter()
            .filter(|(_, process)| process.port == Some(8080) && process.check.is_some())
            .map(|(name, _)| name.as_str().to_owned())
            .collect();
        assert_eq!(serving, ["admin-web", "web"]);
    }
}
