//! Builds from the store to the image, with containers and file systems that are only told of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod images;
mod languages;
mod node;
mod nodejs;
mod pass;
mod site;
mod trouble;
mod worker;
mod world;
