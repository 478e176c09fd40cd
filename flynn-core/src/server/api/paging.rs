//! Lists, a page at a time.

use std::sync::Arc;

use uuid::Uuid;

use super::{ApiError, Call};
use crate::api::{Page, PageQuery};
use crate::noun::{AppId, Noun, Object, Objects, Stored};
use crate::port::{ArchiveQuery, Cursor};
use crate::wire::Text;

const LONGEST: u32 = 200;
const USUAL: u32 = 50;

pub(super) fn limit(asked: Option<u32>) -> Result<usize, ApiError> {
    match asked.unwrap_or(USUAL) {
        limit @ 1..=LONGEST => Ok(limit as usize),
        other => Err(ApiError::invalid("limit", format!("{other} is not from 1 to {LONGEST}"))),
    }
}

/// A page of `items`, which are sorted by the text beside each. The cursor is the text of the last one before, so
/// that what comes and goes in the meantime shifts nothing.
pub(super) fn sorted<T, D>(
    mut items: Vec<(String, T)>,
    query: &PageQuery,
    document: impl Fn(T) -> D,
) -> Result<Page<D>, ApiError> {
    let limit = limit(query.limit)?;
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some(cursor) = &query.cursor {
        items.retain(|(key, _)| key > cursor);
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|(key, _)| key.clone());
    Ok(Page { items: items.into_iter().map(|(_, item)| document(item)).collect(), next })
}

/// Where a page of a timeline begins.
enum Position {
    Live(Option<(u64, Uuid)>),
    Past(Cursor),
}

impl Position {
    fn parse(cursor: Option<&str>) -> Result<Self, ApiError> {
        let Some(text) = cursor else { return Ok(Self::Live(None)) };
        let refuse = || ApiError::malformed("cursor", "use the `next` of the page before");
        match text.split_once('-').ok_or_else(refuse)? {
            ("past", place) => Cursor::decode(place).map(Self::Past).map_err(|_| refuse()),
            ("live", place) => {
                let (millis, id) = place.split_once('-').ok_or_else(refuse)?;
                let id = Uuid::try_parse(id).map_err(|_| refuse())?;
                Ok(Self::Live(Some((millis.parse().map_err(|_| refuse())?, id))))
            }
            _ => Err(refuse()),
        }
    }

    fn past(cursor: Cursor) -> String {
        format!("past-{}", cursor.encode())
    }
}

impl Call {
    /// A page of the objects of one noun that match, the newest first: those that are there, and then those in the
    /// history of `app`, if `past` says so.
    pub(super) async fn timeline<N: Noun, D>(
        &self,
        app: AppId,
        query: &PageQuery,
        past: bool,
        matches: impl Fn(&Stored<N>) -> bool + Send,
        document: impl Fn(&Stored<N>) -> D + Send,
    ) -> Result<Page<D>, ApiError> {
        let limit = limit(query.limit)?;
        let mut items = Vec::new();
        let cursor = match Position::parse(query.cursor.as_deref())? {
            Position::Past(cursor) => cursor,
            Position::Live(after) => {
                let key = |stored: &Stored<N>| (stored.created_at.as_millis(), stored.id.uuid());
                let mut live: Vec<&Arc<Stored<N>>> = self
                    .objects()
                    .iter::<N>()
                    .filter(|stored| matches(stored))
                    .filter(|stored| after.is_none_or(|after| key(stored) < after))
                    .collect();
                live.sort_by_key(|stored| std::cmp::Reverse(key(stored)));
                let more = live.len() > limit;
                live.truncate(limit);
                items.extend(live.iter().map(|stored| document(stored)));
                if let Some((millis, id)) = live.last().filter(|_| more).map(|last| key(last)) {
                    return Ok(Page { items, next: Some(format!("live-{millis}-{id}")) });
                }
                Cursor::default()
            }
        };
        if !past {
            return Ok(Page { items, next: None });
        }
        let room = limit - items.len();
        if room == 0 {
            return Ok(Page { items, next: Some(Position::past(cursor)) });
        }
        let archive = ArchiveQuery { kind: N::KIND, app: Some(app) };
        let found = self.api.state.history.archived(archive, cursor, room).await?;
        let stored = found.entries.into_iter().filter_map(|archived| typed::<N>(archived.object));
        items.extend(stored.filter(|stored| matches(stored)).map(|stored| document(&stored)));
        Ok(Page { items, next: found.next.map(Position::past) })
    }

    /// An object of an app that is in the history, if it is among the newest.
    pub(super) async fn archived<N: Noun>(
        &self,
        app: AppId,
        matches: impl Fn(&Stored<N>) -> bool + Send,
    ) -> Result<Option<Arc<Stored<N>>>, ApiError> {
        let archive = ArchiveQuery { kind: N::KIND, app: Some(app) };
        let found = self.api.state.history.archived(archive, Cursor::default(), LONGEST as usize).await?;
        let mut stored = found.entries.into_iter().filter_map(|archived| typed::<N>(archived.object));
        Ok(stored.find(|stored| matches(stored)))
    }
}

/// The object as one of noun `N`, if it is one.
fn typed<N: Noun>(object: Object) -> Option<Arc<Stored<N>>> {
    let one: Objects = [object].into_iter().collect();
    one.iter::<N>().next().cloned()
}
