use std::time::Duration;

use async_trait::async_trait;

use crate::election::{Campaign, Epoch, Seat};
use crate::error::StoreError;

/// Gives each [`Seat`] to one holder at a time, by the store's clock.
///
/// A lease alone proves nothing, since its holder may sleep through its end. What a leader writes names
/// its epoch, and the store refuses every epoch but the last.
#[async_trait]
pub trait Elections: Send + Sync {
    /// Asks for `seat` for the length of `term`, or renews it. `holder` names the caller and is unique to
    /// one run of its process. See [`contest`](crate::election::contest) for who wins.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    async fn campaign(&self, seat: Seat, holder: &str, term: Duration) -> Result<Campaign, StoreError>;

    /// Gives the seat back, if `epoch` is still the last one, so that the next campaign need not wait.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    async fn resign(&self, seat: Seat, epoch: Epoch) -> Result<(), StoreError>;
}
