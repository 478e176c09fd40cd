//! Those who come through the node's link: to a terminal, to a further process, to logs.

mod door;
mod guest;
mod pump;
mod visitors;

pub(super) use door::{Door, Request};
pub(super) use visitors::{Here, Visitors};
