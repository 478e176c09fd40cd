use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::{
    Addon, App, Build, Certificate, Deployment, Formation, Grant, Job, LogDrain, Node, Provider, Quota, Release, Route,
    Router, Team, Token, User, Volume,
};
use super::{Noun, Object, ObjectId, Stored, sealed, with_nouns};
use crate::id::Id;

macro_rules! tables {
    ($($noun:ident, $status:ty, $text:literal, $table:ident;)*) => {
        /// A set of objects of all nouns. Cloning takes constant time: clones share what they have in common.
        #[derive(Clone, Default)]
        pub struct Objects { $(pub(super) $table: OrdMap<Id<$noun>, Arc<Stored<$noun>>>,)* }

        impl Objects {
            /// The object with this id.
            pub fn object(&self, id: ObjectId) -> Option<Object> {
                match id { $(ObjectId::$noun(id) => self.$table.get(&id).cloned().map(Object::$noun),)* }
            }

            /// Whether there is an object with this id.
            pub fn contains(&self, id: ObjectId) -> bool {
                match id { $(ObjectId::$noun(id) => self.$table.contains_key(&id),)* }
            }

            /// All objects, noun by noun and by id within a noun.
            pub fn all(&self) -> impl Iterator<Item = Object> + '_ {
                std::iter::empty()$(.chain(self.$table.values().cloned().map(Object::$noun)))*
            }

            /// How many objects there are.
            pub fn len(&self) -> usize {
                0 $(+ self.$table.len())*
            }

            /// The ids of the objects that were created, changed or removed on the way from `before` to this
            /// set. What the two share is not visited, so neighbouring snapshots are compared in little time.
            pub fn changed_since(&self, before: &Self) -> Vec<ObjectId> {
                let mut ids = Vec::new();
                $(ids.extend(before.$table.diff(&self.$table).map(|item| match item {
                    DiffItem::Add(id, _) | DiffItem::Remove(id, _) | DiffItem::Update { new: (id, _), .. } => {
                        ObjectId::$noun(*id)
                    }
                }));)*
                ids
            }

            /// Puts an object in the place of the one with its id, which is returned.
            pub fn insert(&mut self, object: Object) -> Option<Object> {
                match object { $(Object::$noun(stored) => self.$table.insert(stored.id, stored).map(Object::$noun),)* }
            }

            /// Takes an object out.
            pub fn remove(&mut self, id: ObjectId) -> Option<Object> {
                match id { $(ObjectId::$noun(id) => self.$table.remove(&id).map(Object::$noun),)* }
            }
        }
    };
}

with_nouns!(tables);

impl Objects {
    /// The object of noun `N` with this id.
    pub fn get<N: Noun>(&self, id: Id<N>) -> Option<&Arc<Stored<N>>> {
        <N as sealed::Noun>::table(self).get(&id)
    }

    /// All objects of noun `N` by id.
    pub fn iter<N: Noun>(&self) -> impl DoubleEndedIterator<Item = &Arc<Stored<N>>> {
        <N as sealed::Noun>::table(self).values()
    }

    /// How many objects of noun `N` there are.
    pub fn count<N: Noun>(&self) -> usize {
        <N as sealed::Noun>::table(self).len()
    }

    /// Whether there is no object at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the objects of noun `N` are the very same in both. It takes constant time, and may say no
    /// of sets that are equal.
    pub fn shares<N: Noun>(&self, other: &Self) -> bool {
        <N as sealed::Noun>::table(self).ptr_eq(<N as sealed::Noun>::table(other))
    }

    pub(crate) fn put<N: Noun>(&mut self, stored: Stored<N>) {
        <N as sealed::Noun>::table_mut(self).insert(stored.id, Arc::new(stored));
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.all().map(|object| object.id())).finish()
    }
}

impl PartialEq for Objects {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.all().eq(other.all())
    }
}

impl FromIterator<Object> for Objects {
    fn from_iter<I: IntoIterator<Item = Object>>(objects: I) -> Self {
        let mut set = Self::default();
        for object in objects {
            set.insert(object);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Ids;
    use crate::name::TeamName;
    use crate::noun::TeamId;
    use crate::revision::Revision;
    use crate::time::Timestamp;

    fn team(id: TeamId, name: &str) -> Object {
        let spec = Team { name: TeamName::new(name).unwrap() };
        let (spec_version, status_version) = (Revision::ZERO, Revision::ZERO);
        Stored { id, team: id, spec, status: (), spec_version, status_version, created_at: Timestamp::EPOCH }.into()
    }

    #[test]
    fn changes_are_what_differs() {
        let mut ids = Ids::seeded(1);
        let [kept, changed, removed, created]: [TeamId; 4] = std::array::from_fn(|_| ids.next(Timestamp::EPOCH));
        let before: Objects = [team(kept, "a"), team(changed, "b"), team(removed, "c")].into_iter().collect();
        let mut after = before.clone();
        assert_eq!(after.changed_since(&before), []);
        after.insert(team(changed, "d"));
        after.insert(team(created, "e"));
        after.remove(removed.into());
        let mut expected: Vec<ObjectId> = vec![changed.into(), removed.into(), created.into()];
        let mut found = after.changed_since(&before);
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
}
