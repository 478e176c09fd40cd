//! What a command works with: the cluster, the app, and where results go.

use std::cell::OnceCell;
use std::path::PathBuf;

use flynn_core::client::{Api, ApiError, Credential, Endpoint};
use flynn_core::{Clock, SystemClock, Timestamp, TokenSecret};

use crate::environment::Environment;
use crate::failure::Failure;
use crate::git::{self, Remote};
use crate::grammar::Global;
use crate::output::Output;
use crate::settings::{Cluster, Settings, unknown};

/// The git remote of an app where no other is named.
pub(crate) const REMOTE: &str = "flynn";

/// One run of a command.
#[derive(Debug)]
pub(crate) struct Session {
    global: Global,
    environment: Environment,
    output: Output,
    settings: OnceCell<Settings>,
    remote: OnceCell<Option<Remote>>,
}

impl Session {
    pub(crate) fn new(global: Global, environment: Environment) -> Self {
        let output = Output::new(global.json, environment.plain);
        Self { global, environment, output, settings: OnceCell::new(), remote: OnceCell::new() }
    }

    pub(crate) fn output(&self) -> Output {
        self.output
    }

    /// What the user's terminal understands, if it says so.
    pub(crate) fn term(&self) -> Option<&str> {
        self.environment.term.as_deref()
    }

    /// The time of this machine, for ages.
    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// The name of the git remote.
    pub(crate) fn remote_name(&self) -> &str {
        self.global.remote.as_deref().unwrap_or(REMOTE)
    }

    /// The cluster that the user named.
    pub(crate) fn named_cluster(&self) -> Option<&str> {
        self.global.cluster.as_deref()
    }

    /// What the git remote says, if there is one.
    fn remote(&self) -> Option<&Remote> {
        self.remote.get_or_init(|| git::remote(self.remote_name())).as_ref()
    }

    /// The clusters that the user knows.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn settings(&self) -> Result<&Settings, Failure> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = match &self.environment.config {
            Some(path) => Settings::read(path)?,
            None => Settings::default(),
        };
        Ok(self.settings.get_or_init(|| settings))
    }

    /// Changes the file of clusters.
    ///
    /// # Errors
    /// It cannot be read or written, or `change` refuses.
    pub(crate) fn change_settings(
        &self,
        change: impl FnOnce(&mut Settings) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let path = self.settings_path()?;
        let mut settings = Settings::read(&path)?;
        change(&mut settings)?;
        settings.write(&path)
    }

    fn settings_path(&self) -> Result<PathBuf, Failure> {
        self.environment.config.clone().ok_or_else(|| {
            Failure::failed(
                "there is no place for the file of clusters, since HOME is not set; set FLYNN_CONFIG to a path",
            )
        })
    }

    /// The cluster to use: the one that was named, else that of `FLYNN_URL`, of the git remote, the default.
    ///
    /// # Errors
    /// There is none, or the file of clusters cannot be read.
    pub(crate) fn cluster(&self) -> Result<Cluster, Failure> {
        let token = self.environment.token.as_deref().map(token_of_the_environment).transpose()?;
        let mut cluster = self.configured_cluster()?;
        cluster.token = token.or(cluster.token);
        Ok(cluster)
    }

    fn configured_cluster(&self) -> Result<Cluster, Failure> {
        if let Some(name) = &self.global.cluster {
            return self.settings()?.get(name).cloned().ok_or_else(|| unknown(name));
        }
        if let Some(url) = &self.environment.url {
            let url = url.trim_end_matches('/').to_owned();
            let token = self.settings()?.at(&url).and_then(|cluster| cluster.token.clone());
            return Ok(Cluster { name: url.clone(), url, token });
        }
        let settings = self.settings()?;
        // With `-a` the app is looked for on the default cluster, unless a remote was named too.
        let asked = self.global.app.is_none() || self.global.remote.is_some();
        if let Some(remote) = self.remote().filter(|_| asked) {
            if let Some(cluster) = settings.at(&remote.cluster) {
                return Ok(cluster.clone());
            }
            return Err(Failure::not_found(format!(
                "the git remote `{}` belongs to {}, which is no cluster known here; add it with `flynn cluster add NAME {}`",
                self.remote_name(),
                remote.cluster,
                remote.cluster
            )));
        }
        settings.preferred().cloned().ok_or_else(|| match settings.clusters() {
            [] => Failure::usage("there is no cluster yet; run `flynn login` as root on the cluster's machine, or `flynn cluster add NAME URL`"),
            _ => Failure::usage("there is no default cluster; name one with `-c NAME`, or choose it with `flynn cluster default NAME`"),
        })
    }

    /// The API of the cluster.
    ///
    /// # Errors
    /// There is no cluster, or its URL is none.
    pub(crate) fn api(&self) -> Result<Api, Failure> {
        connect(&self.cluster()?)
    }

    /// The name of the app: the one that was named, else that of the git remote.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn app(&self) -> Result<String, Failure> {
        if let Some(app) = &self.global.app {
            return Ok(app.clone());
        }
        match (self.remote(), &self.global.remote) {
            (Some(remote), _) => Ok(remote.app.clone()),
            (None, Some(name)) => {
                Err(Failure::usage(format!("the git remote `{name}` names no app of a Flynn cluster")))
            }
            (None, None) => Err(Failure::usage(
                "no app is named; use `-a APP`, or run this in a git repository with a remote `flynn`",
            )),
        }
    }

    /// Waits for an answer and shows that, if it takes long.
    ///
    /// # Errors
    /// Those of the answer.
    pub(crate) async fn wait<T>(
        &self,
        text: impl Into<String>,
        answer: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, Failure> {
        Ok(self.output.progress(text).during(answer).await?)
    }
}

/// The API of a cluster.
///
/// # Errors
/// Its URL is none.
pub(crate) fn connect(cluster: &Cluster) -> Result<Api, Failure> {
    let endpoint: Endpoint =
        cluster.url.parse().map_err(|error| Failure::usage(format!("cluster `{}`: {error}", cluster.name)))?;
    let credential = cluster.token.clone().map_or(Credential::Socket, Credential::Token);
    Ok(Api::connect(endpoint, credential)?)
}

fn token_of_the_environment(text: &str) -> Result<TokenSecret, Failure> {
    text.trim().parse().map_err(|error| Failure::usage(format!("FLYNN_TOKEN is {error}")))
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            message = format!("{message}: {next}");
            cause = next.source();
        }
        match error {
            ApiError::NotFound { .. } if message.contains("there is no job `") => {
                Self::not_found(message).hint("see `flynn ps`")
            }
            ApiError::NotFound { .. } if message.contains("there is no app `") => {
                Self::not_found(message).hint("see `flynn apps`")
            }
            ApiError::NotFound { .. } => Self::not_found(message),
            ApiError::Conflict { .. } => Self::conflict(message),
            ApiError::NotAllowed { .. } => Self::not_allowed(message),
            ApiError::Unauthenticated { .. } => Self::not_allowed(message).hint("log in with `flynn login`"),
            ApiError::Unavailable { problem, .. } if problem.code == "disk_full" => Self::failed(message),
            ApiError::Unavailable { .. } => Self::unreachable(message).hint("try again"),
            ApiError::Unreachable { .. } => Self::unreachable(message)
                .hint("is the cluster running, and is its URL right? See `flynn cluster list`"),
            _ => Self::failed(message),
        }
    }
}
