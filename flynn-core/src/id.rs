//! Typed ids: UUIDv7 values that know which noun they name.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::time::Timestamp;

/// The id of an object of noun `N`.
///
/// Ids are UUIDv7 (RFC 9562 §5.7). They sort roughly by creation time, which helps storage, but are
/// never a commit order: that is what [`Revision`](crate::Revision) is for.
///
/// ```
/// use flynn_core::{AppId, Ids, Timestamp};
///
/// let mut ids = Ids::seeded(7);
/// let id: AppId = ids.next(Timestamp::from_millis(1_000));
/// assert_eq!(id.to_string().parse::<AppId>()?, id);
/// # Ok::<(), flynn_core::IdError>(())
/// ```
pub struct Id<N> {
    uuid: Uuid,
    noun: PhantomData<fn() -> N>,
}

impl<N> Id<N> {
    /// The id with all bits zero, used for the objects that exist before any commit.
    pub const NIL: Self = Self::from_uuid(Uuid::nil());

    /// Types a raw UUID.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, noun: PhantomData }
    }

    /// The raw UUID.
    pub const fn uuid(&self) -> Uuid {
        self.uuid
    }
}

/// A text that is not a UUID.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{input}` is not an id: expected a UUID such as 0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b")]
pub struct IdError {
    input: String,
}

impl<N> FromStr for Id<N> {
    type Err = IdError;

    fn from_str(input: &str) -> Result<Self, IdError> {
        let uuid = Uuid::try_parse(input).map_err(|_| IdError { input: input.chars().take(64).collect() })?;
        Ok(Self::from_uuid(uuid))
    }
}

impl<N> Clone for Id<N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Id<N> {}

impl<N> PartialEq for Id<N> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<N> Eq for Id<N> {}

impl<N> PartialOrd for Id<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<N> Ord for Id<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<N> Hash for Id<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<N> fmt::Debug for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid, f)
    }
}

impl<N> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid, f)
    }
}

impl<N> Serialize for Id<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.uuid.serialize(serializer)
    }
}

impl<'de, N> Deserialize<'de> for Id<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}

/// A source of fresh ids.
///
/// Decisions take one by `&mut`, so that a simulation with the same seed makes the same ids.
#[derive(Debug, Clone)]
pub struct Ids {
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Entropy,
    Seeded { state: u64 },
}

impl Ids {
    /// Ids from the operating system's random numbers.
    pub fn from_entropy() -> Self {
        Self { source: Source::Entropy }
    }

    /// Ids that repeat for the same seed and the same times. For tests and simulations.
    pub fn seeded(seed: u64) -> Self {
        Self { source: Source::Seeded { state: seed } }
    }

    /// The next id, stamped with `now`.
    pub fn next<N>(&mut self, now: Timestamp) -> Id<N> {
        let mut random = [0; 10];
        match &mut self.source {
            Source::Entropy => random.copy_from_slice(&Uuid::new_v4().as_bytes()[..10]),
            Source::Seeded { state } => {
                let (high, low) = (split_mix(state).to_le_bytes(), split_mix(state).to_le_bytes());
                random[..8].copy_from_slice(&high);
                random[8..].copy_from_slice(&low[..2]);
            }
        }
        Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &random).into_uuid())
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing;

    #[test]
    fn the_same_seed_makes_the_same_ids_and_another_seed_does_not() {
        let draw = |seed| {
            let mut ids = Ids::seeded(seed);
            [ids.next::<Thing>(Timestamp::from_millis(5)), ids.next(Timestamp::from_millis(5))]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[0], draw(1)[1]);
    }

    #[test]
    fn ids_are_version_7_and_carry_their_time() {
        for mut ids in [Ids::seeded(3), Ids::from_entropy()] {
            let id: Id<Thing> = ids.next(Timestamp::from_millis(1_234_567));
            assert_eq!(id.uuid().get_version_num(), 7);
            let earlier: Id<Thing> = ids.next(Timestamp::from_millis(1_234_566));
            assert!(earlier < id);
        }
    }
}
