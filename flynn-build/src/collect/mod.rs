//! Takes away blobs that nothing names any more.
//!
//! What is named is decided by the store alone: images of releases and jobs with all their layers, images that builds
//! made, and sources of builds under way. What nobody names is kept for some time after it was last put, for the
//! caches of builders; a builder that finds something missing makes it again.

mod collector;
mod roots;

pub use collector::{CollectError, CollectSettings, Collected, Collector};
