use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::noun::{AppId, RouteId};

/// What reaches which process type of an app through the router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Its id.
    pub id: RouteId,
    /// The app.
    pub app: AppId,
    /// The process type that answers.
    pub process: String,
    /// `http` or `tcp`.
    pub kind: String,
    /// The host, for `http`: a name, or `*.` and a name.
    #[serde(default)]
    pub host: Option<String>,
    /// The path prefix, for `http`.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether a client stays with one instance, for `http`.
    #[serde(default)]
    pub sticky: bool,
    /// Whether requests without TLS are redirected, for `http`.
    #[serde(default)]
    pub redirect_https: bool,
    /// The port of the router, for `tcp`.
    #[serde(default)]
    pub port: Option<u16>,
    /// The PROXY protocol an instance is told the client's address by, for `tcp`: `v1`, `v2` or none.
    #[serde(default)]
    pub proxy_protocol: Option<String>,
    /// When it was created.
    pub created_at: Time,
    /// The revision that last changed it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// A wish for an HTTP route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewRoute {
    /// `http`, which is also meant if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["http", null]))]
    pub kind: Option<String>,
    /// The host: a name, or `*.` and a name for all hosts directly below it.
    pub host: String,
    /// The path prefix; `/` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The process type that answers; `web` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Whether a client stays with one instance.
    #[serde(default)]
    pub sticky: bool,
    /// Whether requests without TLS are redirected.
    #[serde(default)]
    pub redirect_https: bool,
}

/// A host whose requests reach an app: all of them, or those below a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Domain {
    /// The host.
    pub host: String,
    /// Whether it is `NAME.DOMAIN`, which every app gets.
    pub is_default: bool,
    /// Its routes.
    #[serde(default)]
    pub routes: Vec<RouteId>,
}

/// A wish for a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewDomain {
    /// The host: a name, or `*.` and a name for all hosts directly below it.
    pub host: String,
}
