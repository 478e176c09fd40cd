//! The only place that reads environment variables.
#![allow(clippy::disallowed_methods, reason = "a binary reads the environment, here and nowhere else")]

use std::env::{var, var_os};
use std::path::PathBuf;

/// What the environment says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// The file of clusters: `FLYNN_CONFIG`, else in the user's configuration directory. None if there is no home.
    pub(crate) config: Option<PathBuf>,
    /// `FLYNN_URL`: the cluster to use in place of the configured one.
    pub(crate) url: Option<String>,
    /// `FLYNN_TOKEN`: the token to show in place of the configured one.
    pub(crate) token: Option<String>,
    /// Whether the user wants no colour: `NO_COLOR` is set, or the terminal is `dumb`.
    pub(crate) plain: bool,
    /// `TERM`: what the terminal understands.
    pub(crate) term: Option<String>,
}

impl Environment {
    /// Reads the variables of this process. An empty one counts as unset.
    pub(crate) fn read() -> Self {
        let text = |name| var(name).ok().filter(|value| !value.is_empty());
        let path = |name| var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = path("XDG_CONFIG_HOME").filter(|base| base.is_absolute());
        let base = base.or_else(|| path("HOME").map(|home| home.join(".config")));
        Self {
            config: path("FLYNN_CONFIG").or_else(|| base.map(|base| base.join("flynn/clusters.toml"))),
            url: text("FLYNN_URL"),
            token: text("FLYNN_TOKEN"),
            plain: text("NO_COLOR").is_some() || text("TERM").as_deref() == Some("dumb"),
            term: text("TERM"),
        }
    }
}
