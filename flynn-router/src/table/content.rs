use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use flynn_core::name::AppName;
use flynn_core::noun::{
    App, Desired, Entry, Health, Job, JobState, ObjectId, Objects, PlainHttp, Purpose, Route, Stored, Traffic,
};
use flynn_core::{AppId, JobId};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::{Place, RouteSpec, TargetKey};
use crate::rules::Rules;

/// What a table should hold, as a value. Cloning takes constant time.
///
/// ```
/// use flynn_core::noun::Objects;
/// use flynn_router::table::Content;
///
/// let nothing = Content::of(&Objects::default());
/// assert!(nothing.changes_from(&Content::default()).is_empty());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Content {
    routes: OrdMap<Place, RouteSpec>,
    targets: OrdMap<TargetKey, TargetSpec>,
    /// How many routes each target has. One without a route is not in the table.
    uses: OrdMap<TargetKey, usize>,
    /// The jobs that take requests, whether a route leads to them or not.
    instances: OrdMap<TargetKey, BTreeMap<JobId, SocketAddr>>,
}

/// What a target should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSpec {
    /// The name of the app.
    pub name: AppName,
    /// Whether the maintenance page is shown.
    pub traffic: Traffic,
    /// The instances and where they listen.
    pub backends: BTreeMap<JobId, SocketAddr>,
}

/// One step from one content to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableChange {
    /// A target is there or is changed.
    PutTarget(TargetKey, TargetSpec),
    /// A route is there or leads elsewhere.
    PutRoute(Place, RouteSpec),
    /// A route is gone.
    DropRoute(Place),
    /// A target, which no route leads to any more, is gone.
    DropTarget(TargetKey),
}

impl Content {
    /// What a table should hold for these objects.
    ///
    /// A job takes requests if it is meant to be up, is up and healthy, and has an address.
    pub fn of(objects: &Objects) -> Self {
        Self::default().advance(&Objects::default(), objects)
    }

    /// The content for `after`, from the content for `before`. Takes time for what differs between the two.
    #[must_use]
    pub fn advance(&self, before: &Objects, after: &Objects) -> Self {
        let mut next = self.clone();
        let mut touched = BTreeSet::new();
        let mut routes = Vec::new();
        for id in after.changed_since(before) {
            match id {
                ObjectId::App(app) => touched.extend(next.targets_of(app)),
                ObjectId::Job(job) => {
                    if let Some(key) = before.get(job).and_then(|job| target_of_job(job)) {
                        next.place_job(&key, job, None);
                        touched.insert(key);
                    }
                    if let Some((key, job_now)) = after.get(job).and_then(|job| Some((target_of_job(job)?, job))) {
                        next.place_job(&key, job, serving_address(job_now));
                        touched.insert(key);
                    }
                }
                ObjectId::Route(route) => {
                    // A place may pass from one route to another in one commit: first all that go, then all that come.
                    if let Some((place, spec)) = before.get(route).and_then(|route| http(route)) {
                        next.remove_route(&place, &spec);
                        touched.insert(spec.target);
                    }
                    routes.extend(after.get(route).and_then(|route| http(route)));
                }
                _ => {}
            }
        }
        for (place, spec) in routes {
            touched.insert(spec.target.clone());
            next.insert_route(place, spec);
        }
        for key in touched {
            next.renew_target(key, after);
        }
        next
    }

    /// The least that makes a table with the content `before` hold this one.
    pub fn changes_from(&self, before: &Self) -> Vec<TableChange> {
        let (mut targets, mut routes, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for item in before.targets.diff(&self.targets) {
            match item {
                DiffItem::Add(key, spec) | DiffItem::Update { new: (key, spec), .. } => {
                    targets.push(TableChange::PutTarget(key.clone(), spec.clone()));
                }
                DiffItem::Remove(key, _) => gone.push(TableChange::DropTarget(key.clone())),
            }
        }
        for item in before.routes.diff(&self.routes) {
            routes.push(match item {
                DiffItem::Add(place, spec) | DiffItem::Update { new: (place, spec), .. } => {
                    TableChange::PutRoute(place.clone(), spec.clone())
                }
                DiffItem::Remove(place, _) => TableChange::DropRoute(place.clone()),
            });
        }
        targets.into_iter().chain(routes).chain(gone).collect()
    }

    /// The routes and what they lead to.
    pub fn routes(&self) -> impl Iterator<Item = (&Place, &RouteSpec)> {
        self.routes.iter()
    }

    /// The targets that a route leads to.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetKey, &TargetSpec)> {
        self.targets.iter()
    }

    /// Content from routes and targets that were written down earlier. It serves to be compared and applied;
    /// to advance, begin from [`of`](Self::of).
    pub(crate) fn from_parts(
        routes: impl IntoIterator<Item = (Place, RouteSpec)>,
        targets: impl IntoIterator<Item = (TargetKey, TargetSpec)>,
    ) -> Self {
        let routes = routes.into_iter().collect();
        let targets = targets.into_iter().collect();
        Self { routes, targets, ..Self::default() }
    }

    fn targets_of(&self, app: AppId) -> Vec<TargetKey> {
        self.uses.keys().filter(|key| key.app == app).cloned().collect()
    }

    fn place_job(&mut self, key: &TargetKey, job: JobId, address: Option<SocketAddr>) {
        let mut jobs = self.instances.get(key).cloned().unwrap_or_default();
        match address {
            Some(address) => drop(jobs.insert(job, address)),
            None => drop(jobs.remove(&job)),
        }
        match jobs.is_empty() {
            true => drop(self.instances.remove(key)),
            false => drop(self.instances.insert(key.clone(), jobs)),
        }
    }

    fn insert_route(&mut self, place: Place, spec: RouteSpec) {
        *self.uses.entry(spec.target.clone()).or_insert(0) += 1;
        if let Some(old) = self.routes.insert(place, spec) {
            self.release(&old.target);
        }
    }

    fn remove_route(&mut self, place: &Place, spec: &RouteSpec) {
        if self.routes.get(place) == Some(spec) {
            self.routes.remove(place);
            self.release(&spec.target);
        }
    }

    fn release(&mut self, key: &TargetKey) {
        match self.uses.get(key).copied().unwrap_or_default() {
            0 | 1 => drop(self.uses.remove(key)),
            uses => drop(self.uses.insert(key.clone(), uses - 1)),
        }
    }

    fn renew_target(&mut self, key: TargetKey, objects: &Objects) {
        match objects.get(key.app).filter(|_| self.uses.contains_key(&key)) {
            Some(app) => {
                let App { name, traffic, .. } = &app.spec;
                let backends = self.instances.get(&key).cloned().unwrap_or_default();
                let spec = TargetSpec { name: name.clone(), traffic: *traffic, backends };
                if self.targets.get(&key) != Some(&spec) {
                    self.targets.insert(key, spec);
                }
            }
            None => drop(self.targets.remove(&key)),
        }
    }
}

fn target_of_job(job: &Stored<Job>) -> Option<TargetKey> {
    match &job.spec.purpose {
        Purpose::Service { process, .. } => Some(TargetKey { app: job.spec.app, process: process.clone() }),
        Purpose::OneOff { .. } => None,
    }
}

fn serving_address(job: &Stored<Job>) -> Option<SocketAddr> {
    match (job.spec.desired, &job.status.state) {
        (Desired::Up | Desired::Replace, JobState::Up { address, health: Health::Healthy }) => *address,
        _ => None,
    }
}

fn http(route: &Stored<Route>) -> Option<(Place, RouteSpec)> {
    let Route { app, process, entry } = &route.spec;
    match entry {
        Entry::Http { host, path, plain, .. } => {
            let place = Place { host: host.clone().into(), path: path.clone() };
            let target = TargetKey { app: *app, process: process.clone() };
            let rules = Rules { redirect_https: *plain == PlainHttp::Redirect, ..Rules::default() };
            Some((place, RouteSpec { target, rules: Arc::new(rules) }))
        }
        Entry::Tcp { .. } => None,
    }
}
