//! The rules of this repository as pure functions from what was found to what is wrong with it.
//!
//! Every rule returns its findings as sentences that name the place, the rule and the way out; none
//! means that the rule holds. `tests/repository.rs` applies them to the repository itself.

pub mod edges;
pub mod manifest;
pub mod repository;
pub mod tidy;
