use std::fmt;
use std::sync::Arc;

use flynn_core::name::{HostPattern, PathPrefix};

use super::{Target, TargetKey};
use crate::rules::{Bucket, Rules};

/// The hosts of a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostMatch {
    /// One host, or all hosts directly below one.
    Pattern(HostPattern),
    /// Every host that no other route is for.
    Any,
}

impl From<HostPattern> for HostMatch {
    fn from(pattern: HostPattern) -> Self {
        Self::Pattern(pattern)
    }
}

impl fmt::Display for HostMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => pattern.fmt(f),
            Self::Any => f.write_str("*"),
        }
    }
}

/// What a route matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The hosts.
    pub host: HostMatch,
    /// The path prefix.
    pub path: PathPrefix,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec {
    /// Where it leads.
    pub target: TargetKey,
    /// What else is done.
    pub rules: Arc<Rules>,
}

impl From<TargetKey> for RouteSpec {
    fn from(target: TargetKey) -> Self {
        Self { target, rules: Arc::default() }
    }
}

/// A route as requests find it.
#[derive(Debug)]
pub struct FoundRoute {
    /// Without a final slash, so that the prefix of all paths is empty.
    prefix: Box<str>,
    target: Arc<Target>,
    rules: Arc<Rules>,
    bucket: Option<Arc<Bucket>>,
}

impl FoundRoute {
    /// A route for the paths below `path`.
    pub fn new(path: &PathPrefix, target: Arc<Target>, rules: Arc<Rules>) -> Self {
        let bucket = rules.rate.map(|limit| Arc::new(Bucket::new(limit)));
        Self { prefix: stored_prefix(path).into(), target, rules, bucket }
    }

    /// Goes on counting where `before` is, if the limit is the same.
    pub(super) fn after(mut self, before: Option<&Self>) -> Self {
        let kept = before.and_then(|before| before.bucket.clone());
        if let Some(kept) = kept.filter(|kept| self.rules.rate == Some(kept.limit())) {
            self.bucket = Some(kept);
        }
        self
    }

    /// The path prefix without a final slash; empty for all paths.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where it leads.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// What else is done.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_deref()
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&*self.prefix);
        rest.is_some_and(|rest| self.prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }
}

pub(super) fn stored_prefix(path: &PathPrefix) -> &str {
    path.as_str().strip_suffix('/').unwrap_or(path.as_str())
}
