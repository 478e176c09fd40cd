//! `flynn config`: the environment variables of an app.

use clap::{Args, Subcommand};
use flynn_core::api::{ConfigChange, ConfigChanged};

use super::follow::{self, Wait};
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// Show or change the environment variables of an app
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Set variables, and deploy that
    Set {
        /// A name and a value; `KEY=-` reads the value from standard input
        #[arg(required = true, value_name = "KEY=VALUE")]
        values: Vec<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Take variables away, and deploy that
    Unset {
        /// The names
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Print the value of a variable
    Get {
        /// The name
        key: String,
    },
}

pub(super) async fn run(session: &Session, command: Config) -> Result<(), Failure> {
    match command.command {
        None => show(session).await,
        Some(Change::Get { key }) => get(session, &key).await,
        Some(Change::Set { values, wait }) => {
            let values =
                values.iter().map(|pair| assignment(pair, std::io::stdin().lock())).collect::<Result<_, _>>()?;
            change(session, ConfigChange { values }, wait).await
        }
        Some(Change::Unset { keys, wait }) => unset(session, keys, wait).await,
    }
}

/// The two parts of `KEY=VALUE`.
pub(super) fn parts(pair: &str) -> Result<(&str, &str), Failure> {
    pair.split_once('=').ok_or_else(|| Failure::usage(format!("`{pair}` sets nothing; write KEY=VALUE")))
}

/// Reads `KEY=VALUE`; a value that must not be seen in the list of processes comes by standard input.
fn assignment(pair: &str, mut input: impl std::io::Read) -> Result<(String, Option<String>), Failure> {
    let (key, value) = parts(pair)?;
    if value != "-" {
        return Ok((key.to_owned(), Some(value.to_owned())));
    }
    let mut text = String::new();
    input
        .read_to_string(&mut text)
        .map_err(|error| Failure::failed(format!("cannot read the value of {key} from standard input: {error}")))?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok((key.to_owned(), Some(value.to_owned())))
}

async fn show(session: &Session) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let config = session.wait("Reading the configuration", api.config(&app)).await?;
    session.output().show(&config.values, |style| render::config(&config, style))
}

async fn get(session: &Session, key: &str) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let config = session.wait("Reading the configuration", api.config(&app)).await?;
    match config.values.get(key) {
        Some(Some(value)) => session.output().show(value, |_| format!("{value}\n")),
        Some(None) => Err(Failure::not_allowed(format!("you may see that {app} has {key}, but not its value"))),
        None => Err(Failure::not_found(format!("{app} has no variable {key}; see `flynn config`"))),
    }
}

async fn change(session: &Session, change: ConfigChange, wait: Wait) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let changed: ConfigChanged = session.wait("Changing the configuration", api.change_config(&app, &change)).await?;
    if let Some(id) = changed.deployment.filter(|_| wait.wait) {
        follow::deployment(session, &api, &app, id).await?;
    }
    session.output().show(&changed, |_| render::config_changed(&app, &change, &changed, wait.wait))
}

/// Takes away what is there, and says of the rest that it is not.
async fn unset(session: &Session, keys: Vec<String>, wait: Wait) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let config = session.wait("Reading the configuration", api.config(&app)).await?;
    let (there, missing): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| config.values.contains_key(key));
    let nothing = missing.join(", ");
    if there.is_empty() {
        return Err(Failure::not_found(format!("{app} has no variable {nothing}; nothing was changed")));
    }
    if !missing.is_empty() {
        session.output().remark(&format!("{app} has no variable {nothing}."));
    }
    let values = there.into_iter().map(|key| (key, None)).collect();
    change(session, ConfigChange { values }, wait).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_what_follows_the_first_equals_sign() {
        let read = |pair| assignment(pair, &b"secret\n"[..]).map_err(|failure| failure.code());
        assert_eq!(read("A=b=c"), Ok(("A".into(), Some("b=c".into()))));
        assert_eq!(read("A="), Ok(("A".into(), Some(String::new()))));
        assert_eq!(read("A=-"), Ok(("A".into(), Some("secret".into()))));
        assert_eq!(read("A"), Err(2));
    }
}
