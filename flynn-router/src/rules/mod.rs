//! What else is done with the requests of a route, beside sending them to its target.

mod fields;
mod rate;

use std::sync::Arc;

pub use fields::{FieldRules, RuleError};
pub(crate) use rate::Bucket;
pub use rate::RateLimit;

/// The rules of a route. By default a request is passed on as it is.
///
/// They are kept in this order: redirect, rate limit, maintenance, stripping and fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// Whether requests are answered with a redirect to the same address on `https`.
    pub redirect_https: bool,
    /// How many requests are passed on.
    pub rate: Option<RateLimit>,
    /// Whether requests are answered with the maintenance page, whatever the state of the app.
    pub maintenance: bool,
    /// The maintenance page for browsers, in HTML; without one, the router has its own.
    pub maintenance_page: Option<Arc<str>>,
    /// Whether the path prefix of the route is taken off. What was taken off is in `X-Forwarded-Prefix`.
    pub strip_prefix: bool,
    /// What is done with the fields of requests, once the router has written its own.
    pub request: FieldRules,
    /// What is done with the fields of answers of instances.
    pub response: FieldRules,
}
