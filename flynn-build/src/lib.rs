//! From a push to what an image is built from, and to the image.
//!
//! - [`source`]: a source tree as a value, from an uploaded archive or a commit; packed so that the same content has
//!   the same digest, and put into the blob store.
//! - [`detect`]: what a tree is written in and how it is started, as a pure decision.
//! - [`collect`]: taking away what nothing names any more.
//! - [`git`]: `git push` as a tower service, with the deploy as a part of the push.
//! - [`builder`]: the port that makes images; [`base`]: what images stand on, made of Debian's packages;
//!   [`buildpack`]: what knows a language.
//! - [`sandbox`]: commands in containers of their own; [`image`]: layers and documents; [`keys`]: what is there already.
//! - [`oci`]: images that somebody else made.
//! - [`workshop`]: all of that in one folder of this machine, for a program that embeds it.
//! - [`worker`]: the loop that builds what is placed on a node; [`settings`]: what an operator decides.
//!
//! Not here: Dockerfiles, `app.json`, ignore files, SSH, other versions of Python
//! than that of the base images.

pub mod base;
pub mod builder;
pub mod buildpack;
pub mod collect;
pub mod detect;
pub mod git;
pub mod image;
pub mod keys;
pub mod oci;
pub mod sandbox;
pub mod settings;
pub mod source;
pub mod worker;
pub mod workshop;
