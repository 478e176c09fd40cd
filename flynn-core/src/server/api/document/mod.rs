//! Nouns as the documents of the API show them.

mod access;
mod app;
mod certificate;
mod cluster;
pub(super) mod word;
mod work;

pub(super) use access::{audit, member, team, token, user};
pub(super) use app::{app, formation, hosts, route};
pub(super) use certificate::certificate;
pub(super) use cluster::{default_quota, node, quota, quota_for};
pub(super) use work::{build, deployment, job, release};
