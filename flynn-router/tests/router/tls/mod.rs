//! The router over TLS.

mod abuse;
mod authority;
mod certificates;
mod follow;
mod frames;
mod requests;
mod secured;
