use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use flynn_core::name::PathPrefix;

use super::target::Backend;
use super::{Crossing, Host, Passage, Place, RouteTable, TableChange, Target, TargetKey, TargetSpec, TargetState};

/// So many that a change at 50,000 routes copies about 200 entries.
const SHARDS: usize = 256;

/// A table of routes that is changed one entry at a time while requests read it.
///
/// Hosts are spread over shards. A change copies its shard and swaps it in; readers go on with the old one.
#[derive(Debug)]
pub struct ShardedTable {
    hasher: RandomState,
    exact: Box<[Shard]>,
    wildcard: Box<[Shard]>,
    crossing: Arc<Crossing>,
    /// Only one writer at a time; it also knows which targets there are.
    targets: Mutex<HashMap<TargetKey, Arc<Target>>>,
}

type Shard = ArcSwap<HashMap<Arc<str>, Arc<[PathRoute]>>>;

/// A route of a host. The list of a host begins with the longest prefix.
#[derive(Debug, Clone)]
struct PathRoute {
    /// The prefix without a final slash, so that of all paths is empty.
    prefix: Box<str>,
    target: Arc<Target>,
}

impl Default for ShardedTable {
    fn default() -> Self {
        let shards = || (0..SHARDS).map(|_| Shard::default()).collect();
        Self {
            hasher: RandomState::new(),
            exact: shards(),
            wildcard: shards(),
            crossing: Arc::default(),
            targets: Mutex::default(),
        }
    }
}

impl ShardedTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes changes, in this order. A route to a target that is not there is left out with a warning.
    pub fn apply(&self, changes: impl IntoIterator<Item = TableChange>) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                TableChange::PutTarget(key, spec) => match targets.get(&key) {
                    Some(target) => target.replace(next_state(spec, &target.state().backends)),
                    None => {
                        let target = Target::new(key.clone(), next_state(spec, &[]));
                        targets.insert(key, Arc::new(target));
                    }
                },
                TableChange::PutRoute(place, key) => match targets.get(&key) {
                    Some(target) => self.edit(&place, Some(target.clone())),
                    None => tracing::warn!(?place, ?key, "route table: a route names a target that is not there"),
                },
                TableChange::DropRoute(place) => self.edit(&place, None),
                TableChange::DropTarget(key) => {
                    if let Some(target) = targets.remove(&key) {
                        target.retire();
                    }
                }
            }
        }
    }

    /// Waits until no request is being routed by what the table said before the call.
    pub async fn settle(&self) {
        self.crossing.settle().await;
    }

    fn edit(&self, place: &Place, target: Option<Arc<Target>>) {
        let shards = if place.host.is_wildcard() { &self.wildcard } else { &self.exact };
        let shard = self.shard(shards, place.host.base());
        let mut hosts = HashMap::clone(&shard.load());
        let prefix = stored_prefix(&place.path);
        let routes = hosts.get(place.host.base()).map(|routes| &**routes).unwrap_or_default();
        let mut routes: Vec<PathRoute> = routes.iter().filter(|route| *route.prefix != *prefix).cloned().collect();
        if let Some(target) = target {
            let before = routes.partition_point(|route| route.prefix.len() > prefix.len());
            routes.insert(before, PathRoute { prefix: prefix.into(), target });
        }
        match routes.is_empty() {
            true => drop(hosts.remove(place.host.base())),
            false => drop(hosts.insert(place.host.base().into(), routes.into())),
        }
        shard.store(Arc::new(hosts));
    }

    fn shard<'a>(&self, shards: &'a [Shard], key: &str) -> &'a Shard {
        let hash = self.hasher.hash_one(key) as usize;
        &shards[hash % SHARDS]
    }

    fn find(&self, shards: &[Shard], key: &str, path: &str) -> Option<Arc<Target>> {
        let hosts = self.shard(shards, key).load();
        let route = hosts.get(key)?.iter().find(|route| matches(&route.prefix, path))?;
        Some(route.target.clone())
    }
}

impl RouteTable for ShardedTable {
    fn lookup(&self, host: &Host, path: &str) -> Option<Arc<Target>> {
        self.find(&self.exact, host.as_str(), path).or_else(|| self.find(&self.wildcard, host.parent()?, path))
    }

    fn enter(&self) -> Passage {
        self.crossing.enter()
    }
}

fn stored_prefix(path: &PathPrefix) -> &str {
    path.as_str().strip_suffix('/').unwrap_or(path.as_str())
}

fn matches(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// The state that `spec` describes. Instances that were there before keep their connections and counts.
fn next_state(spec: TargetSpec, before: &[Arc<Backend>]) -> TargetState {
    let TargetSpec { name, traffic, backends } = spec;
    let keep = |job, address| before.iter().find(|old| old.job() == job && old.address() == address).cloned();
    let backends = backends
        .into_iter()
        .map(|(job, address)| keep(job, address).unwrap_or_else(|| Arc::new(Backend::new(job, address))))
        .collect();
    TargetState { name, traffic, backends }
}
