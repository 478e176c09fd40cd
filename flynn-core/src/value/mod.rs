//! Plain values that several nouns and ports share.

mod digest;
pub(crate) mod hex;
mod resources;
mod secret;

pub use digest::{Digest, DigestError};
pub use resources::{Dimension, Resources};
pub use secret::{Env, KeyId, Sealed};
