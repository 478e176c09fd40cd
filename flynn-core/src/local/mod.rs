//! The ports on one machine: blobs in a directory and keys in a file.
//!
//! Both expect a file system of this machine, with its `rename`, `fsync` and `flock`. Several processes may
//! share a directory of blobs or a key file.

mod blobs;
mod key_ring;
mod place;

pub use blobs::DirBlobs;
pub use key_ring::FileKeyRing;
