//! Builds as users have them: in containers, on Debian, with packages from their registries. They need root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are in real time")]

mod app;
mod bases;
mod blobs;
mod cancel;
mod go;
mod installers;
mod machine;
mod python;
mod samples;
