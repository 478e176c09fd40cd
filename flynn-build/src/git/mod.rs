//! `git push` as a service: the smart HTTP protocol over stock git, with the deploy of one branch as a part of
//! the push.
//!
//! [`open`] gives a [`GitService`], a tower service over `http` types that a host mounts at `/git/`, and a
//! [`GitDriver`], which does the work while the host drives it. The host says who may push through
//! [`GitAuthority`] and what a push does through [`PushHandler`].
//!
//! # One push
//!
//! `git receive-pack` takes in the pack and checks every object. Its proc-receive hook is the program of
//! [`hook::run`], which does nothing but tie git to this service over a unix socket. The service refuses what
//! is not for a deploy branch, reads the commit into a [`SourceTree`](crate::source::SourceTree) and calls the
//! handler, whose output goes to the pusher line by line. Its answer is the status of the ref: with `Ok` git
//! moves the branch, with `Err` the pusher reads the reason in the line of the ref.
//!
//! # Who waits for whom
//!
//! One push of an app is deployed at a time. A second one is refused in the line of its ref instead of
//! waiting: whoever waits would deploy over a state they have not seen. Until the handler is called, git's
//! processes die with the connection of the pusher. From then on the push goes on without them: git is
//! awaited, so that the branch tells what is deployed.
//!
//! Git works for so many requests at a time and no more, in all and for each app. One over that waits a moment for a
//! place and is answered with 503 if there is none.
//!
//! # What the repositories are
//!
//! A cache of the store's truth. Each has one branch at most: the one deployed last. [`Repositories::repair`] sets it
//! right, [`Repositories::collect`] prunes what refused pushes left behind.
//!
//! # What is not here
//!
//! Git older than 2.31, which takes no configuration from its environment; SSH, limits of requests per hour, LFS and submodules: a tree with either of the last two is refused.

mod authority;
mod body;
mod branch;
mod checkout;
mod command;
mod commit;
mod driver;
mod error;
mod handler;
pub mod hook;
mod link;
mod locks;
mod oversize;
mod ownership;
mod pkt;
mod places;
mod process;
mod push;
mod repositories;
mod request;
mod rules;
mod service;
mod session;
mod settings;
mod settled;

pub use authority::{Access, AccessDenied, AppRef, Credentials, GitAuthority, PushContext};
pub use body::GitBody;
pub use branch::{Branch, BranchError};
pub use commit::{CommitId, CommitIdError};
pub use driver::{GitDriver, open};
pub use error::GitError;
pub use handler::{Push, PushHandler, PushOutput, Rejection, Released};
pub use repositories::{Deployed, Repositories};
pub use service::GitService;
pub use settings::{GitSettings, GitUser, HookCommand};
