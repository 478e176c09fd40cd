use crate::id::Id;
use crate::name::{HostPattern, PathPrefix, ProcessName};
use crate::noun::AppId;
use crate::rule::{Claim, Footprint, Invalid, NounRules, Usage};

/// The id of a [`Route`].
pub type RouteId = Id<Route>;

/// What reaches which process type of an app through the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The app.
    pub app: AppId,
    /// The process type that answers.
    pub process: ProcessName,
    /// What it matches.
    pub entry: Entry,
}

/// Where requests or connections come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// HTTP requests for a host and below a path.
    Http {
        /// The host.
        host: HostPattern,
        /// The path prefix; the longest that matches wins.
        path: PathPrefix,
        /// Whether a client stays with one instance.
        affinity: Affinity,
        /// What happens to requests without TLS.
        plain: PlainHttp,
    },
    /// TCP connections to a port of the router.
    Tcp {
        /// The port.
        port: u16,
        /// Whether the instance is told the client's address.
        proxy_protocol: ProxyProtocol,
    },
}

/// Whether a client's requests stay with one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// Any instance.
    None,
    /// The instance named by an authenticated cookie, while it lives.
    Sticky,
}

/// What the router does with requests that came without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// Serve them.
    Serve,
    /// Redirect them to `https`.
    Redirect,
}

/// The header by which a TCP instance learns the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// None.
    None,
    /// Version 1 (text).
    V1,
    /// Version 2 (binary).
    V2,
}

impl Entry {
    /// All requests for `host`.
    pub fn host(host: HostPattern) -> Self {
        Self::Http { host, path: PathPrefix::root(), affinity: Affinity::None, plain: PlainHttp::Serve }
    }

    fn claim(&self) -> Claim {
        match self {
            Self::Http { host, path, .. } => Claim::HttpRoute(host.clone(), path.clone()),
            Self::Tcp { port, .. } => Claim::TcpRoute(*port),
        }
    }
}

impl NounRules for Route {
    fn validate(&self) -> Result<(), Invalid> {
        match self.entry {
            Entry::Tcp { port: 0..1_024, .. } => {
                Err(Invalid::new("entry.port", "ports below 1024 belong to the router itself: use 1024 to 65535"))
            }
            _ => Ok(()),
        }
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.app != next.app {
            return Err(Invalid::new("app", "a route stays with its app: remove it and create another"));
        }
        if self.entry.claim() != next.entry.claim() {
            return Err(Invalid::new(
                "entry",
                "host, path and port of a route are fixed: remove it and create another",
            ));
        }
        Ok(())
    }

    fn footprint(&self, _: RouteId, (): &()) -> Footprint {
        let hosts = match &self.entry {
            Entry::Http { host, .. } => vec![host.clone()],
            Entry::Tcp { .. } => vec![],
        };
        Footprint {
            app: Some(self.app),
            claims: vec![self.entry.claim()],
            hosts,
            references: vec![self.app.into()],
            usage: Usage { routes: 1, ..Usage::ZERO },
            ..Footprint::default()
        }
    }
}
