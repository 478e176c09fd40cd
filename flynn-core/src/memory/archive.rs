use std::collections::{BTreeMap, VecDeque};

use crate::noun::{AppId, Kind, ObjectId};
use crate::port::{ArchiveQuery, Archived, AuditRecord, Cursor, Page};
use crate::retention::Retention;
use crate::revision::Revision;
use crate::rule::Principal;
use crate::state::Entry;

/// The history of a store in memory.
#[derive(Debug, Default)]
pub(super) struct Archive {
    removed: BTreeMap<(Kind, Option<AppId>), Shelf>,
    audit: VecDeque<AuditRecord>,
}

type Position = (Revision, u32);

/// What was removed of one kind and app, the oldest first.
type Shelf = VecDeque<(Position, Archived)>;

impl Archive {
    /// Files what a commit removed, and that it was made.
    pub(super) fn file(&mut self, entry: &Entry, retention: &Retention) {
        for (place, transition) in (0..).zip(&entry.transitions) {
            let Some(object) = &transition.archived else { continue };
            let app = transition.was.and_then(|was| was.app);
            let shelf = self.removed.entry((transition.id.kind(), app)).or_default();
            let archived = Archived { revision: entry.revision, at: entry.at, object: object.clone() };
            shelf.push_back(((entry.revision, place), archived));
            while shelf.len() as u64 > retention.archived_per_app {
                shelf.pop_front();
            }
        }
        // The history of an app goes with it: nobody could ask for it, and apps come and go without end.
        for gone in entry.transitions.iter().filter(|transition| transition.is.is_none()) {
            if let ObjectId::App(app) = gone.id {
                self.removed.retain(|(_, of), _| *of != Some(app));
            }
        }
        if let Principal::Bearer(_) = entry.principal {
            let objects = entry.transitions.iter().map(|transition| transition.id).collect();
            let Entry { revision, at, principal, .. } = *entry;
            self.audit.push_back(AuditRecord { revision, at, principal, objects });
            while self.audit.len() as u64 > retention.audit {
                self.audit.pop_front();
            }
        }
    }

    pub(super) fn archived(&self, query: ArchiveQuery, cursor: Cursor, limit: usize) -> Page<Archived> {
        let shelves = self
            .removed
            .iter()
            .filter(|((kind, app), _)| *kind == query.kind && (query.app.is_none() || *app == query.app));
        let mut found: Vec<_> = shelves.flat_map(|(_, shelf)| shelf).collect();
        found.sort_by_key(|(position, _)| *position);
        let older = found.into_iter().rev().filter(|(position, _)| cursor.0.is_none_or(|last| *position < last));
        page(older.map(|(position, archived)| (*position, archived.clone())), limit)
    }

    pub(super) fn audit(&self, cursor: Cursor, limit: usize) -> Page<AuditRecord> {
        let placed = self.audit.iter().rev().map(|record| ((record.revision, 0), record));
        let older = placed.filter(|(position, _)| cursor.0.is_none_or(|last| *position < last));
        page(older.map(|(position, record)| (position, record.clone())), limit)
    }
}

/// The first `limit` of `entries`, and where the others begin.
pub(crate) fn page<T>(entries: impl Iterator<Item = (Position, T)>, limit: usize) -> Page<T> {
    let mut taken: Vec<(Position, T)> = entries.take(limit.saturating_add(1)).collect();
    let more = taken.len() > limit;
    taken.truncate(limit);
    let next = if more { taken.last().map(|(position, _)| Cursor(Some(*position))) } else { None };
    Page { entries: taken.into_iter().map(|(_, entry)| entry).collect(), next }
}
