//! What can be typed. `a:b` is read as `a b`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Command as Grammar, CommandFactory, Parser};

use crate::commands::Command;
use crate::failure::Failure;

/// Deploys, scales and watches apps on a Flynn cluster.
#[derive(Debug, Parser)]
#[command(name = "flynn", version, propagate_version = false, disable_help_subcommand = false, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The app; else the one that the git remote names
    #[arg(short, long, global = true, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// The git remote that names the app; `flynn` if none is given
    #[arg(short, long, global = true, value_name = "REMOTE")]
    pub(crate) remote: Option<String>,
    /// The cluster; else the one that the git remote names, else the default
    #[arg(short, long, global = true, value_name = "CLUSTER")]
    pub(crate) cluster: Option<String>,
    /// Print one JSON document for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Why there is nothing to run.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Help or version was asked for and shown.
    Told(ExitCode),
    /// What was typed makes no sense.
    Usage(Failure),
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// See [`Stop`].
pub(crate) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Cli, Stop> {
    let grammar = Cli::command();
    Cli::try_parse_from(split(line, &grammar)).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let shown = error.print();
            Stop::Told(if shown.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = write!(io::stderr(), "{}", error.render());
            Stop::Told(ExitCode::from(2))
        }
        _ => Stop::Usage(usage(&error)),
    })
}

/// A usage error on one line.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let (problem, rest) = text.split_once("\nUsage: ").unwrap_or((&text, ""));
    let words: Vec<_> = problem.split_whitespace().filter(|word| *word != "error:").collect();
    let command: Vec<_> = rest.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
    let command = if command.is_empty() { "flynn".to_owned() } else { command.join(" ") };
    Failure::usage(words.join(" ").replace(" For more information, try '--help'.", ""))
        .hint(&format!("see `{command} --help`"))
}

/// Splits the first word that is no flag at its colons, if what stands before the first one is a command.
fn split(line: impl IntoIterator<Item = OsString>, grammar: &Grammar) -> Vec<OsString> {
    let mut words = line.into_iter();
    let mut split: Vec<_> = words.next().into_iter().collect();
    while let Some(word) = words.next() {
        if takes_a_value(&word, grammar) {
            split.push(word);
            split.extend(words.next());
        } else if word.as_encoded_bytes().starts_with(b"-") {
            split.push(word);
        } else {
            split.extend(split_word(word, grammar));
            break;
        }
    }
    split.extend(words);
    split
}

fn split_word(word: OsString, grammar: &Grammar) -> Vec<OsString> {
    let parts = word.to_str().and_then(|text| text.split_once(':').map(|(first, _)| (first, text.split(':'))));
    match parts {
        Some((first, parts)) if grammar.find_subcommand(first).is_some() => parts.map(OsString::from).collect(),
        _ => vec![word],
    }
}

/// Whether the next word belongs to this one: `-a web`, but not `-aweb` or `--app=web`.
fn takes_a_value(word: &OsStr, grammar: &Grammar) -> bool {
    let Some(text) = word.to_str() else { return false };
    grammar.get_arguments().filter(|argument| argument.get_action().takes_values()).any(|argument| {
        let short =
            argument.get_short().is_some_and(|short| text.strip_prefix('-') == Some(short.to_string().as_str()));
        short || argument.get_long().is_some_and(|long| text.strip_prefix("--") == Some(long))
    })
}

#[cfg(test)]
mod tests;
