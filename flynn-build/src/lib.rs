//! From a push to what an image is built from.
//!
//! - [`source`]: a source tree as a value, from an uploaded archive or a commit; packed so that the same content has
//!   the same digest, and put into the blob store.
//! - [`detect`]: what a tree is written in and how it is started, as a pure decision.
//! - [`git`]: `git push` as a tower service, with the deploy as a part of the push.
//!
//! Not here: the building itself (sandboxes, buildpacks, Dockerfiles, images), `app.json`, ignore files, SSH.

pub mod detect;
pub mod git;
pub mod source;
