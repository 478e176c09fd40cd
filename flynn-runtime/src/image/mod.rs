//! The images of a node: a cache by digest of what is in the [`Blobs`](flynn_core::port::Blobs).

mod collect;
mod config;
mod fill;
mod inside;
mod manifest;
pub(crate) mod place;
mod store;
mod user;

pub use collect::{Collected, Live};
pub use config::{ExposedPort, ImageConfig, ImageConfigError};
pub use store::{ImageOptions, ImageStore};
pub(crate) use store::{told, unavailable};
pub use user::{ImageUser, UnknownUser};

pub use crate::layer::{LayerLimits, LayerTimes, Setuid};
