//! The rules every writer shares. They are pure, and every store applies them inside every commit.

mod authorize;
mod bounds;
mod claim;
mod fits;
mod footprint;
mod quota;
mod validate;
mod visible;

pub use authorize::{Authority, Denial, Power, Principal, authorize, authorize_read};
pub use bounds::Bounds;
pub(crate) use bounds::check_sizes;
pub use claim::Claim;
pub use fits::{Misfit, Room, fits, fits_into, takes_work};
pub use footprint::Usage;
pub(crate) use footprint::{Footprint, NounRules, Owner};
pub(crate) use quota::combined;
pub use quota::{OverQuota, quota_of, within_quota};
pub use validate::Invalid;
pub(crate) use validate::{
    check_command, check_env, check_length, check_number, check_resources, check_span, check_text,
};
pub(crate) use visible::may_know;
