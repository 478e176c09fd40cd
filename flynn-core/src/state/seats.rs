use std::time::Duration;

use super::State;
use crate::election::{Campaign, Epoch, Lease, Seat, contest};
use crate::error::StoreError;
use crate::time::Timestamp;

/// Decides a campaign and moves the state on.
pub(crate) fn campaign(
    state: &mut State,
    seat: Seat,
    holder: &str,
    term: Duration,
    clock: Timestamp,
) -> Result<Campaign, StoreError> {
    if let Seat::Deployment(id) = seat
        && state.objects.get(id).is_none()
    {
        return Err(StoreError::NotFound { operation: "campaign", id: id.into() });
    }
    let outcome = contest(state.leases.get(&seat), holder, term, clock);
    if let Campaign::Won(lease) = &outcome {
        state.leases.insert(seat, lease.clone());
    }
    Ok(outcome)
}

/// Ends the lease of `seat`, if `epoch` is its last. Whether it was.
pub(crate) fn resign(state: &mut State, seat: Seat, epoch: Epoch, clock: Timestamp) -> bool {
    let Some(last) = state.leases.get(&seat).filter(|lease| lease.epoch == epoch) else { return false };
    let lease = Lease { until: last.until.min(clock), ..last.clone() };
    state.leases.insert(seat, lease);
    true
}
