use crate::name::HostPattern;
use crate::noun::{AppId, Certificate, Entry, Objects, Route};

/// Where the routers of a cluster are found from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// `http` or `https`.
    pub scheme: String,
    /// The port.
    pub port: u16,
    /// The port of `https`, for hosts that have a certificate.
    pub secured: Option<u16>,
}

impl Edge {
    /// A router that speaks HTTP on `port`.
    pub fn http(port: u16) -> Self {
        Self { scheme: String::from("http"), port, secured: None }
    }

    /// The same, which serves hosts with a certificate over TLS on `port` as well.
    #[must_use]
    pub fn with_https(mut self, port: u16) -> Self {
        self.secured = Some(port);
        self
    }

    /// The address of an app that a person can open: of its routes with the shortest path, the first that was
    /// added. None if nothing leads to it.
    pub fn url(&self, app: AppId, objects: &Objects) -> Option<String> {
        let routes = objects.iter::<Route>().filter(|route| route.spec.app == app);
        let entries = routes.filter_map(|route| match &route.spec.entry {
            Entry::Http { host, path, .. } if !host.is_wildcard() => {
                Some((path.to_string(), route.created_at, route.id, host))
            }
            _ => None,
        });
        let (path, _, _, host) = entries.min_by_key(|(path, created, id, _)| (path.len(), *created, *id))?;
        let secured = self.secured.filter(|_| has_certificate(app, host, objects));
        let (scheme, port) = secured.map_or((self.scheme.as_str(), self.port), |port| ("https", port));
        let port = match (scheme, port) {
            ("http", 80) | ("https", 443) => String::new(),
            (_, port) => format!(":{port}"),
        };
        Some(format!("{scheme}://{host}{port}{}", path.trim_end_matches('/')))
    }
}

fn has_certificate(app: AppId, host: &HostPattern, objects: &Objects) -> bool {
    let above = host.wildcard_above();
    let mut certificates = objects.iter::<Certificate>().filter(|certificate| certificate.spec.app == app);
    certificates.any(|certificate| {
        [Some(host), above.as_ref()].into_iter().flatten().any(|host| certificate.spec.hosts.contains(host))
    })
}
