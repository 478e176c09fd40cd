use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use hashbrown::HashTable;

use super::place::stored_prefix;
use super::slot::{HostRoutes, first_match};
use super::target::Backend;
use super::{
    Crossing, FoundRoute, Host, HostMatch, Passage, Place, RouteSpec, RouteTable, TableChange, Target, TargetKey,
    TargetSpec, TargetState,
};

/// So many that a change at 50,000 routes copies about 50 entries.
const SHARDS: usize = 1_024;

/// A table of routes that is changed one entry at a time while requests read it.
///
/// Hosts are spread over shards. A change copies its shard and swaps it in; readers go on with the old one.
/// Hashes are keyed at random, so that nobody can choose hosts that collide.
#[derive(Debug)]
pub struct ShardedTable {
    hasher: RandomState,
    exact: Box<[Shard]>,
    wildcard: Box<[Shard]>,
    any: ArcSwap<Vec<Arc<FoundRoute>>>,
    crossing: Arc<Crossing>,
    /// Only one writer at a time; it also knows which targets there are.
    targets: Mutex<HashMap<TargetKey, Arc<Target>>>,
    /// Instances that were taken out since somebody waited for them.
    leaving: Mutex<Vec<Weak<Backend>>>,
}

type Shard = ArcSwap<HashTable<HostRoutes>>;

impl Default for ShardedTable {
    fn default() -> Self {
        let shards = || (0..SHARDS).map(|_| Shard::default()).collect();
        Self {
            hasher: RandomState::new(),
            exact: shards(),
            wildcard: shards(),
            any: ArcSwap::default(),
            crossing: Arc::default(),
            targets: Mutex::default(),
            leaving: Mutex::default(),
        }
    }
}

impl ShardedTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until all requests are answered that instances have which were taken out of the table, at most for
    /// `longest`. Decisions that may still go by an older table are waited for with [`settle`](Self::settle) before.
    pub async fn emptied(&self, longest: Duration) {
        let leaving = std::mem::take(&mut *self.leaving.lock().unwrap_or_else(PoisonError::into_inner));
        let answered = async {
            for backend in leaving.iter().filter_map(Weak::upgrade) {
                backend.answered().await;
            }
        };
        // What takes longer has the instance's own stop time.
        let _late = tokio::time::timeout(longest, answered).await;
    }

    /// Remembers the instances of a target's earlier state that are in it no more, for as long as requests have them.
    fn leave(&self, before: &TargetState) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|backend| backend.strong_count() > 0);
        leaving.extend(before.backends.iter().filter(|backend| backend.is_retired()).map(Arc::downgrade));
    }

    /// Makes changes, in this order. A route to a target that is not there is left out with a warning.
    pub fn apply(&self, changes: impl IntoIterator<Item = TableChange>) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                TableChange::PutTarget(key, spec) => match targets.get(&key) {
                    Some(target) => {
                        let before = target.state();
                        target.replace(next_state(spec, &before.backends));
                        self.leave(&before);
                    }
                    None => {
                        let target = Target::new(key.clone(), next_state(spec, &[]));
                        targets.insert(key, Arc::new(target));
                    }
                },
                TableChange::PutRoute(place, RouteSpec { target: key, rules }) => match targets.get(&key) {
                    Some(target) => {
                        let route = FoundRoute::new(&place.path, target.clone(), rules);
                        self.edit(&place, Some(route));
                    }
                    None => tracing::warn!(?place, ?key, "route table: a route names a target that is not there"),
                },
                TableChange::DropRoute(place) => self.edit(&place, None),
                TableChange::DropTarget(key) => {
                    if let Some(target) = targets.remove(&key) {
                        target.retire();
                        self.leave(&target.state());
                    }
                }
            }
        }
    }

    /// Waits until no request is being routed by what the table said before the call.
    pub async fn settle(&self) {
        self.crossing.settle().await;
    }

    fn edit(&self, place: &Place, route: Option<FoundRoute>) {
        let pattern = match &place.host {
            HostMatch::Any => return self.any.store(Arc::new(edited(&self.any.load(), place, route))),
            HostMatch::Pattern(pattern) => pattern,
        };
        let shards = if pattern.is_wildcard() { &self.wildcard } else { &self.exact };
        let (hash, host) = (self.hasher.hash_one(pattern.base().as_bytes()), pattern.base());
        let shard = shard_of(shards, hash);
        let mut hosts = HashTable::clone(&shard.load());
        let entry = hosts.entry(hash, |entry| entry.is_of(host), |entry| self.hasher.hash_one(entry.host()));
        match entry {
            hashbrown::hash_table::Entry::Occupied(mut entry) => {
                match HostRoutes::new(host, edited(entry.get().routes(), place, route)) {
                    Some(routes) => *entry.get_mut() = routes,
                    None => drop(entry.remove()),
                }
            }
            hashbrown::hash_table::Entry::Vacant(entry) => match HostRoutes::new(host, edited(&[], place, route)) {
                Some(routes) => drop(entry.insert(routes)),
                None => return,
            },
        }
        shard.store(Arc::new(hosts));
    }

    fn find(&self, shards: &[Shard], host: &str, path: &str) -> Option<Arc<FoundRoute>> {
        let hash = self.hasher.hash_one(host.as_bytes());
        let hosts = shard_of(shards, hash).load();
        hosts.find(hash, |entry| entry.is_of(host))?.find(path)
    }
}

impl RouteTable for ShardedTable {
    fn lookup(&self, host: &Host, path: &str) -> Option<Arc<FoundRoute>> {
        self.find(&self.exact, host.as_str(), path)
            .or_else(|| self.find(&self.wildcard, host.parent()?, path))
            .or_else(|| first_match(&self.any.load(), path))
    }

    fn enter(&self) -> Passage {
        self.crossing.enter()
    }
}

/// The shard of a hash, by bits that the table inside it does not go by.
fn shard_of(shards: &[Shard], hash: u64) -> &Shard {
    &shards[(hash >> 40) as usize % SHARDS]
}

/// The routes of one pattern with one of them replaced, added or removed.
fn edited(routes: &[Arc<FoundRoute>], place: &Place, route: Option<FoundRoute>) -> Vec<Arc<FoundRoute>> {
    let prefix = stored_prefix(&place.path);
    let (before, mut rest): (Vec<_>, Vec<_>) = routes.iter().cloned().partition(|route| route.prefix() == prefix);
    if let Some(route) = route {
        let at = rest.partition_point(|route| route.prefix().len() > prefix.len());
        rest.insert(at, Arc::new(route.after(before.first().map(|before| &**before))));
    }
    rest
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
