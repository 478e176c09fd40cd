//! What a pass has decided so far: a working copy of the objects, and what differs from the originals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flynn_core::change::{Change, Expectation, MOST_CHANGES};
use flynn_core::noun::{
    Addon, App, Build, Certificate, Deployment, DeploymentId, Formation, FormationId, Job, LogDrain, Node, Noun,
    Object, ObjectId, Objects, Release, Route, Router, Stored, TeamId, Token, TokenScope, Volume,
};
use flynn_core::port::Snapshot;
use flynn_core::{AppId, Id, JobId, Revision, Timestamp};

use super::plan::{Draft, Plan};

/// A noun that passes write.
pub(super) trait Written: Noun {
    /// Its place among the creations and updates of an app; removals go in the reverse order, after them.
    const RANK: u8;
    fn app(&self, id: Id<Self>) -> Option<AppId>;
    fn object(stored: Stored<Self>) -> Object;
    fn object_id(id: Id<Self>) -> ObjectId;
}

macro_rules! written {
    ($($noun:ident, $rank:literal, $app:expr;)*) => {$(
        impl Written for $noun {
            const RANK: u8 = $rank;
            fn app(&self, id: Id<Self>) -> Option<AppId> {
                let app: fn(&Self, Id<Self>) -> Option<AppId> = $app;
                app(self, id)
            }
            fn object(stored: Stored<Self>) -> Object {
                stored.into()
            }
            fn object_id(id: Id<Self>) -> ObjectId {
                id.into()
            }
        }
    )*};
}

written! {
    Node, 0, |_, _| None;
    Router, 0, |_, _| None;
    Addon, 0, |_, _| None;
    App, 0, |_, id| Some(id);
    Release, 1, |release, _| Some(release.app);
    Formation, 2, |formation, _| Some(formation.app);
    Volume, 2, |volume, _| Some(volume.app);
    Certificate, 2, |certificate, _| Some(certificate.app);
    LogDrain, 2, |drain, _| Some(drain.app);
    Token, 2, |token, _| match token.scope { TokenScope::App(_, app) => Some(app), _ => None };
    Deployment, 3, |deployment, _| Some(deployment.app);
    Build, 3, |build, _| Some(build.app);
    Route, 3, |route, _| Some(route.app);
    Job, 5, |job, _| Some(job.app);
}

/// What is to happen to one object.
#[derive(Debug)]
struct Entry {
    rank: u8,
    app: Option<AppId>,
    /// The versions of spec and status that were read; none for one created in this pass.
    versions: Option<(Revision, Revision)>,
    spec: Option<Change>,
    status: Option<Change>,
    removal: Option<Change>,
    /// Whether the decision also rests on the status.
    rests_on_status: bool,
    /// The object whose changes these must be applied together with.
    joined: Option<ObjectId>,
}

#[derive(Debug)]
pub(super) struct Ledger<'a> {
    snapshot: &'a Snapshot,
    objects: Objects,
    entries: BTreeMap<ObjectId, Entry>,
    jobs: BTreeMap<AppId, BTreeSet<JobId>>,
    formations: BTreeMap<AppId, FormationId>,
    open_deployments: BTreeMap<AppId, DeploymentId>,
    /// What decisions about an app rest on beside the objects that are written.
    reads: BTreeMap<AppId, BTreeSet<ObjectId>>,
    again: Option<Timestamp>,
    now: Timestamp,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, now: Timestamp) -> Self {
        let mut jobs: BTreeMap<AppId, BTreeSet<JobId>> = BTreeMap::new();
        for job in snapshot.objects.iter::<Job>() {
            jobs.entry(job.spec.app).or_default().insert(job.id);
        }
        let formations = snapshot.objects.iter::<Formation>().map(|formation| (formation.spec.app, formation.id));
        let deployments = snapshot.objects.iter::<Deployment>().filter(|deployment| !deployment.status.state.is_end());
        Self {
            snapshot,
            objects: snapshot.objects.clone(),
            entries: BTreeMap::new(),
            jobs,
            formations: formations.collect(),
            open_deployments: deployments.map(|deployment| (deployment.spec.app, deployment.id)).collect(),
            reads: BTreeMap::new(),
            again: None,
            now,
        }
    }

    /// The objects as they will be after what was decided so far. Versions are those that were read.
    pub(super) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The jobs of an app, by id.
    pub(super) fn jobs(&self, app: AppId) -> Vec<Arc<Stored<Job>>> {
        let ids = self.jobs.get(&app).into_iter().flatten();
        ids.filter_map(|id| self.objects.get(*id).cloned()).collect()
    }

    /// The formation of an app.
    pub(super) fn formation(&self, app: AppId) -> Option<&Arc<Stored<Formation>>> {
        self.formations.get(&app).and_then(|id| self.objects.get(*id))
    }

    /// The deployment of an app that has not ended.
    pub(super) fn open_deployment(&self, app: AppId) -> Option<&Arc<Stored<Deployment>>> {
        let deployment = self.open_deployments.get(&app).and_then(|id| self.objects.get(*id))?;
        (!deployment.status.state.is_end()).then_some(deployment)
    }

    /// Whether the spec of the object changes in this pass, or it is created.
    pub(super) fn has_new_spec<N: Written>(&self, id: Id<N>) -> bool {
        self.entries.get(&N::object_id(id)).is_some_and(|entry| entry.spec.is_some())
    }

    /// Asks for another pass at `at`, at the latest.
    pub(super) fn look_again(&mut self, at: Timestamp) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }

    /// Lets every write about `app` depend on spec and status of this object as they were read.
    pub(super) fn rest_on<N: Written>(&mut self, app: AppId, id: Id<N>) {
        self.reads.entry(app).or_default().insert(N::object_id(id));
    }

    /// Lets the write of an object depend on its status as it was read.
    pub(super) fn rest_on_status<N: Written>(&mut self, id: Id<N>) {
        if let Some(entry) = self.entries.get_mut(&N::object_id(id)) {
            entry.rests_on_status = true;
        }
    }

    /// Lets the changes of `id` be applied together with those of `other` or not at all.
    pub(super) fn join<N: Written>(&mut self, id: Id<N>, other: Id<N>) {
        if let Some(entry) = self.entries.get_mut(&N::object_id(id)) {
            entry.joined = Some(N::object_id(other));
        }
    }

    pub(super) fn create<N: Written>(&mut self, id: Id<N>, team: TeamId, spec: N) {
        let stored = Stored {
            id,
            team,
            spec: spec.clone(),
            status: N::Status::default(),
            spec_version: Revision::ZERO,
            status_version: Revision::ZERO,
            created_at: self.now,
        };
        self.entry(&stored).spec = Some(Change::create(id, team, spec));
        let object = N::object(stored);
        match &object {
            Object::Job(job) => drop(self.jobs.entry(job.spec.app).or_default().insert(job.id)),
            Object::Formation(formation) => drop(self.formations.insert(formation.spec.app, formation.id)),
            Object::Deployment(deployment) => {
                self.open_deployments.insert(deployment.spec.app, deployment.id);
            }
            _ => {}
        }
        self.objects.insert(object);
    }

    pub(super) fn update<N: Written>(&mut self, id: Id<N>, spec: N) {
        let Some(mut stored) = self.objects.get(id).map(|stored| (**stored).clone()) else {
            return;
        };
        let original = self.snapshot.objects.get(id).map(|stored| stored.spec.clone());
        let team = stored.team;
        stored.spec = spec.clone();
        self.entry(&stored).spec = match original {
            None => Some(Change::create(id, team, spec)),
            Some(original) => (original != spec).then(|| Change::update(id, spec)),
        };
        self.objects.insert(N::object(stored));
    }

    pub(super) fn report<N: Written>(&mut self, id: Id<N>, status: N::Status) {
        let Some(mut stored) = self.objects.get(id).map(|stored| (**stored).clone()) else {
            return;
        };
        let original = self.snapshot.objects.get(id).map_or_else(N::Status::default, |stored| stored.status.clone());
        stored.status = status.clone();
        self.entry(&stored).status = (original != status).then(|| Change::report(id, status));
        self.objects.insert(N::object(stored));
    }

    pub(super) fn remove<N: Written>(&mut self, id: Id<N>) {
        let Some(stored) = self.objects.get(id).cloned() else {
            return;
        };
        self.entry(&stored).removal = Some(Change::remove(id));
        self.objects.remove(N::object_id(id));
        if let Object::Job(job) = N::object((*stored).clone())
            && let Some(jobs) = self.jobs.get_mut(&job.spec.app)
        {
            jobs.remove(&job.id);
        }
    }

    fn entry<N: Written>(&mut self, stored: &Stored<N>) -> &mut Entry {
        let original = self.snapshot.objects.get(stored.id);
        self.entries.entry(N::object_id(stored.id)).or_insert_with(|| Entry {
            rank: N::RANK,
            app: stored.spec.app(stored.id),
            versions: original.map(|original| (original.spec_version, original.status_version)),
            spec: None,
            status: None,
            removal: None,
            rests_on_status: false,
            joined: None,
        })
    }

    pub(super) fn into_plan(self) -> Plan {
        let Self { snapshot, entries, reads, again, .. } = self;
        let mut groups: BTreeMap<Option<AppId>, Vec<Part>> = BTreeMap::new();
        let mut joined: BTreeMap<ObjectId, Part> = BTreeMap::new();
        for (id, entry) in &entries {
            if let (Some(other), Some(part)) = (entry.joined, Part::of(*id, entry)) {
                joined.insert(other, part);
            }
        }
        for (id, entry) in entries.iter().filter(|(_, entry)| entry.joined.is_none()) {
            if let Some(mut part) = Part::of(*id, entry) {
                if let Some(other) = joined.remove(id) {
                    part.ids.extend(other.ids);
                    part.expectations.extend(other.expectations);
                    part.changes.extend(other.changes);
                }
                groups.entry(entry.app).or_default().push(part);
            }
        }
        let mut plan = Plan { again, ..Plan::default() };
        for (app, mut parts) in groups {
            parts.sort_by_key(|part| part.order);
            let read = app.and_then(|app| reads.get(&app)).into_iter().flatten();
            let read = read.filter_map(|id| snapshot.objects.object(*id));
            let read = read.flat_map(|object| versions(object.id(), object.spec_version(), object.status_version()));
            let drafts = drafts(read.collect(), parts);
            match app {
                None => plan.cluster = drafts,
                Some(app) => plan.apps.push((app, drafts)),
            }
        }
        plan
    }
}

/// The changes of one object, or of two that are joined. They are never split.
struct Part {
    order: u8,
    ids: Vec<ObjectId>,
    expectations: Vec<Expectation>,
    changes: Vec<Change>,
}

impl Part {
    fn of(id: ObjectId, entry: &Entry) -> Option<Self> {
        let is_removed = entry.removal.is_some();
        let changes: Vec<Change> = match entry.versions {
            None if is_removed => return None,
            _ if is_removed => entry.status.iter().chain(&entry.removal).cloned().collect(),
            _ => entry.spec.iter().chain(&entry.status).cloned().collect(),
        };
        if changes.is_empty() {
            return None;
        }
        let mut expectations = Vec::new();
        if let Some((spec, status)) = entry.versions {
            let [spec, status] = versions(id, spec, status);
            if entry.spec.is_some() || is_removed {
                expectations.push(spec);
            }
            if entry.status.is_some() || is_removed || entry.rests_on_status {
                expectations.push(status);
            }
        }
        let order = match is_removed {
            // What a job leaves, its number above all, is there for the jobs that follow.
            true if entry.rank == Job::RANK => Job::RANK - 1,
            true => u8::MAX - entry.rank,
            false => entry.rank,
        };
        Some(Self { order, ids: vec![id], expectations, changes })
    }
}

fn versions(id: ObjectId, spec: Revision, status: Revision) -> [Expectation; 2] {
    [Expectation::Spec(id, spec), Expectation::Status(id, status)]
}

fn subject(expectation: &Expectation) -> ObjectId {
    match expectation {
        Expectation::Spec(id, _) | Expectation::Status(id, _) => *id,
        Expectation::Exists(id) | Expectation::Absent(id) => *id,
    }
}

/// Packs `parts` into as few drafts as hold them. What an earlier draft changes has another version by the
/// time a later one is judged, so the later one does not name it.
fn drafts(read: Vec<Expectation>, parts: Vec<Part>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let mut written: BTreeSet<ObjectId> = BTreeSet::new();
    let mut draft = Draft { expectations: read.clone(), changes: Vec::new() };
    let mut touched: Vec<ObjectId> = Vec::new();
    for part in parts {
        if draft.changes.len() + part.changes.len() > MOST_CHANGES {
            written.extend(touched.drain(..));
            let expectations = read.iter().filter(|read| !written.contains(&subject(read))).copied().collect();
            drafts.push(std::mem::replace(&mut draft, Draft { expectations, changes: Vec::new() }));
        }
        touched.extend(part.ids);
        for expectation in part.expectations {
            if !read.contains(&expectation) {
                draft.expectations.push(expectation);
            }
        }
        draft.changes.extend(part.changes);
    }
    if !draft.changes.is_empty() {
        drafts.push(draft);
    }
    drafts
}
