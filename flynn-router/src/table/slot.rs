//! One entry of a table's shards, laid out so that a lookup touches as little memory as it can.

use std::sync::Arc;

use super::FoundRoute;

/// Hosts up to this length are part of their entry.
const SHORT: usize = 30;

/// The routes of a host, or of all hosts directly below it.
#[derive(Debug, Clone)]
pub(super) struct HostRoutes {
    host: HostText,
    routes: Routes,
}

/// A host in lower case.
#[derive(Debug, Clone)]
enum HostText {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Arc<str>),
}

/// At least one route, beginning with the longest prefix. Most hosts have one route, which is for all paths.
#[derive(Debug, Clone)]
enum Routes {
    Every(Arc<FoundRoute>),
    Some(Arc<[Arc<FoundRoute>]>),
}

impl HostRoutes {
    /// The routes of `host`; none if there are none.
    pub(super) fn new(host: &str, routes: Vec<Arc<FoundRoute>>) -> Option<Self> {
        Some(Self { host: HostText::new(host), routes: Routes::new(routes)? })
    }

    pub(super) fn is_of(&self, host: &str) -> bool {
        self.host.as_bytes() == host.as_bytes()
    }

    pub(super) fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    pub(super) fn routes(&self) -> &[Arc<FoundRoute>] {
        match &self.routes {
            Routes::Every(route) => std::slice::from_ref(route),
            Routes::Some(routes) => routes,
        }
    }

    /// The route with the longest prefix of `path`.
    pub(super) fn find(&self, path: &str) -> Option<Arc<FoundRoute>> {
        match &self.routes {
            Routes::Every(route) => Some(route.clone()),
            Routes::Some(routes) => first_match(routes, path),
        }
    }
}

pub(super) fn first_match(routes: &[Arc<FoundRoute>], path: &str) -> Option<Arc<FoundRoute>> {
    routes.iter().find(|route| route.matches(path)).cloned()
}

impl HostText {
    fn new(host: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..host.len()), u8::try_from(host.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(host.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(host.into()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(host) => host.as_bytes(),
        }
    }
}

impl Routes {
    fn new(mut routes: Vec<Arc<FoundRoute>>) -> Option<Self> {
        match routes.as_slice() {
            [] => None,
            [only] if only.prefix().is_empty() => routes.pop().map(Self::Every),
            _ => Some(Self::Some(routes.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::name::{AppName, PathPrefix, ProcessName};
    use flynn_core::noun::Traffic;
    use flynn_core::{Ids, Timestamp};

    use super::super::{Target, TargetKey, TargetState};
    use super::*;

    fn route(path: &str) -> Arc<FoundRoute> {
        let key = TargetKey { app: Ids::seeded(1).next(Timestamp::EPOCH), process: ProcessName::new("web").unwrap() };
        let state = TargetState { name: AppName::new("app").unwrap(), traffic: Traffic::Serve, backends: Vec::new() };
        let target = Arc::new(Target::new(key, state));
        Arc::new(FoundRoute::new(&PathPrefix::new(path).unwrap(), target, Arc::default()))
    }

    #[test]
    fn hosts_of_any_length_are_told_apart() {
        let hosts: Vec<String> = (1..80).map(|length| "a".repeat(length)).collect();
        for host in &hosts {
            let entry = HostRoutes::new(host, vec![route("/")]).unwrap();
            assert_eq!(hosts.iter().filter(|other| entry.is_of(other)).collect::<Vec<_>>(), [host]);
        }
    }

    #[test]
    fn one_route_with_a_prefix_is_not_for_every_path() {
        assert!(HostRoutes::new("a", Vec::new()).is_none());
        let entry = HostRoutes::new("a", vec![route("/api")]).unwrap();
        assert!(entry.find("/apis").is_none() && entry.find("/api/x").is_some());
        assert!(HostRoutes::new("a", vec![route("/")]).unwrap().find("*").is_some());
    }

    #[test]
    fn an_entry_fits_a_line_of_the_cache() {
        assert!(size_of::<HostRoutes>() <= 64, "{}", size_of::<HostRoutes>());
    }
}
