//! The file as it is written.

use std::collections::BTreeMap;
#[cfg(feature = "tls")]
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) apps: BTreeMap<Spanned<String>, App>,
    #[serde(default)]
    pub(super) routes: Vec<Route>,
    #[cfg(feature = "tls")]
    #[serde(default)]
    pub(super) certificate: Vec<Certificate>,
}

#[cfg(feature = "tls")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    pub(super) chain: Spanned<PathBuf>,
    pub(super) key: Spanned<PathBuf>,
    pub(super) hosts: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct App {
    #[serde(default)]
    pub(super) instances: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) maintenance: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub(super) host: Spanned<String>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) app: Spanned<String>,
    #[serde(default)]
    pub(super) strip_prefix: bool,
    #[serde(default)]
    pub(super) redirect_https: bool,
    pub(super) rate: Option<Spanned<Rate>>,
    #[serde(default)]
    pub(super) maintenance: bool,
    pub(super) maintenance_page: Option<String>,
    #[serde(default)]
    pub(super) request_headers: Headers,
    #[serde(default)]
    pub(super) response_headers: Headers,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    pub(super) per_second: u32,
    pub(super) burst: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Headers {
    #[serde(default)]
    pub(super) remove: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) set: BTreeMap<Spanned<String>, Spanned<String>>,
}
