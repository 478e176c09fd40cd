//! `flynn login`, `logout` and `whoami`.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use flynn_core::TokenSecret;
use flynn_core::api;
use flynn_core::client::{Api, Credential, Endpoint};

use crate::failure::Failure;
use crate::render;
use crate::session::{Session, connect};
use crate::settings::Cluster;

/// Where a cluster listens on its own machine.
const URL: &str = "http://127.0.0.1:7700";
const SOCKET: &str = "/run/flynn/flynnd.sock";
const NAME: &str = "local";

/// Log in to the cluster of this machine as its administrator, or keep a token that you were given
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Read a token from standard input, for a cluster that was added
    #[arg(long, conflicts_with_all = ["url", "socket"])]
    token: bool,
    /// The socket of the cluster on this machine
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// The URL of the cluster on this machine
    #[arg(long, value_name = "URL", default_value = URL)]
    url: String,
}

/// Forget the token of a cluster, and revoke it
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// Only forget it; it goes on opening what it opens
    #[arg(long)]
    keep: bool,
}

/// Show who the cluster takes you for
#[derive(Debug, Args)]
pub(crate) struct Whoami {}

pub(super) async fn login(session: &Session, command: Login) -> Result<(), Failure> {
    let by_token = command.token;
    let cluster = if by_token { with_token(session)? } else { over_the_socket(session, command).await? };
    let who = session.wait("Asking who this is", connect(&cluster)?.whoami()).await;
    // A wrong token must not replace a right one; a cluster that cannot be asked is no reason to lose a new token.
    if let (true, Err(failure)) = (by_token, &who) {
        return Err(failure.clone());
    }
    session.change_settings(|settings| {
        settings.put(cluster.clone());
        Ok(())
    })?;
    let who = who?;
    session.output().show(&who, |_| {
        let user = who.user.as_deref().unwrap_or("an automaton");
        format!("Logged in to {} ({}) as {user}.\n", cluster.name, cluster.url)
    })
}

fn with_token(session: &Session) -> Result<Cluster, Failure> {
    let cluster = session.cluster()?;
    if session.settings()?.get(&cluster.name).is_none() {
        return Err(Failure::usage(
            "name a cluster that was added: `flynn cluster add NAME URL`, then `flynn login -c NAME --token`",
        ));
    }
    if session.output().is_interactive() {
        eprint_prompt("Token: ");
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(4_096)
        .read_to_string(&mut text)
        .map_err(|error| Failure::failed(format!("cannot read the token from standard input: {error}")))?;
    let token: TokenSecret =
        text.trim().parse().map_err(|error| Failure::usage(format!("standard input is {error}")))?;
    Ok(Cluster { token: Some(token), ..cluster })
}

async fn over_the_socket(session: &Session, command: Login) -> Result<Cluster, Failure> {
    let socket = &command.socket;
    if !socket.exists() {
        return Err(Failure::unreachable(format!(
            "there is no cluster on this machine: {} is not there; start flynnd, or log in elsewhere with `flynn cluster add NAME URL` and `flynn login -c NAME --token`",
            socket.display()
        )));
    }
    let url = command.url.trim_end_matches('/').to_owned();
    let settings = session.settings()?;
    let known = settings.at(&url).map(|cluster| cluster.name.clone());
    let name = session.named_cluster().map(str::to_owned).or(known).unwrap_or_else(|| NAME.to_owned());
    if let Some(other) = settings.get(&name).filter(|present| present.url != url) {
        return Err(Failure::conflict(format!(
            "`{name}` is the cluster at {}; name this one with `flynn login -c NAME`",
            other.url
        )));
    }
    let api = Api::connect(Endpoint::unix(socket), Credential::Socket)?;
    let issued = session.wait("Logging in", api.login(&api::Login { label: Some(label()), expires_in_s: None })).await;
    let issued = issued.map_err(|failure| match failure.code() {
        5 => failure.hint("the first login has to be made as root on the cluster's machine"),
        _ => failure,
    })?;
    let secret = issued.secret.parse().map_err(|error| Failure::failed(format!("the answer is {error}")))?;
    Ok(Cluster { name, url, token: Some(secret) })
}

/// What the token is called in lists.
fn label() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("flynn login on {host}")
}

fn eprint_prompt(text: &str) {
    use std::io::Write;
    let mut stderr = std::io::stderr();
    // A prompt that cannot be shown is no reason to stop.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[derive(serde::Serialize)]
struct LoggedOut {
    cluster: String,
    revoked: bool,
}

pub(super) async fn logout(session: &Session, command: Logout) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let name = cluster.name.clone();
    if cluster.token.is_none() {
        return Err(Failure::not_found(format!("there is no token for {name}")));
    }
    let api = connect(&cluster)?;
    let revoke = async {
        match api.whoami().await?.token {
            Some(token) => api.revoke_token(token.id).await.map(|()| true),
            None => Ok(false),
        }
    };
    let revoked = if command.keep { Ok(false) } else { session.wait("Logging out", revoke).await };
    session.change_settings(|settings| {
        if let Some(known) = settings.get(&name).cloned() {
            settings.put(Cluster { token: None, ..known });
        }
        Ok(())
    })?;
    match revoked {
        Ok(revoked) => session.output().show(&LoggedOut { cluster: name.clone(), revoked }, |_| match revoked {
            true => format!("Logged out of {name}.\n"),
            false => format!("Forgot the token of {name}; it was not revoked.\n"),
        }),
        // It opens nothing any more.
        Err(failure) if failure.code() == 5 => session
            .output()
            .show(&LoggedOut { cluster: name.clone(), revoked: true }, |_| format!("Logged out of {name}.\n")),
        Err(failure) => Err(failure.hint("the token is forgotten here, but was not revoked")),
    }
}

pub(super) async fn whoami(session: &Session) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let who = session.wait("Asking who this is", connect(&cluster)?.whoami()).await?;
    session.output().show(&who, |style| render::whoami(&who, &cluster).render(style))
}
