//! The store suite over HTTP, and what the way to a store adds to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod access;
mod api;
mod blobs;
mod certificates;
mod environments;
mod faults;
mod harness;
mod link;
mod people;
mod requests;
mod site;
mod skew;
mod streams;

mod over_memory {
    use super::harness::{OverHttp, in_memory};

    flynn_core::store_conformance!(OverHttp(in_memory));
}

mod over_sqlite {
    use super::harness::{OverHttp, in_file};

    flynn_core::store_conformance!(OverHttp(in_file));
}
