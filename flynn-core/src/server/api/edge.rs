use crate::noun::{AppId, Entry, Objects, Route};

/// Where the routers of a cluster are found from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// `http` or `https`.
    pub scheme: String,
    /// The port.
    pub port: u16,
}

impl Edge {
    /// A router that speaks HTTP on `port`.
    pub fn http(port: u16) -> Self {
        Self { scheme: String::from("http"), port }
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
        Some(format!("{}://{host}{}{}", self.scheme, self.suffix(), path.trim_end_matches('/')))
    }

    fn suffix(&self) -> String {
        match (self.scheme.as_str(), self.port) {
            ("http", 80) | ("https", 443) => String::new(),
            (_, port) => format!(":{port}"),
        }
    }
}
