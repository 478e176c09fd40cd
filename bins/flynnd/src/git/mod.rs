//! `git push`: who may, and what it does.

mod authority;
mod build_log;
mod deployed;
mod push;
mod rollout;
mod upkeep;
mod user;

pub(crate) use authority::TokenAuthority;
pub(crate) use deployed::repair;
pub(crate) use push::{BUILD, Deployer, usual_memory};
pub(crate) use upkeep::Upkeep;
pub(crate) use user::hook_program;
