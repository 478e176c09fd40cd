//! The rules every writer shares. They are pure, and every store applies them inside every commit.

mod authorize;
mod claim;
mod fits;
mod footprint;
mod quota;
mod validate;

pub use authorize::{Authority, Denial, Power, Principal, authorize, authorize_read};
pub use claim::Claim;
pub use fits::{Misfit, fits};
pub use footprint::Usage;
pub(crate) use footprint::{Footprint, NounRules, Owner};
pub use quota::{OverQuota, within_quota};
pub use validate::Invalid;
pub(crate) use validate::{
    check_command, check_env, check_length, check_number, check_resources, check_span, check_text,
};
