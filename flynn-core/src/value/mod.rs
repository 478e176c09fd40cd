//! Plain values that several nouns and ports share.

mod amount;
mod digest;
mod gpu;
pub(crate) mod hex;
mod resources;
mod secret;

pub use amount::Amount;
pub use digest::{Digest, DigestError};
pub use gpu::{Devices, GpuRequest, Gpus, MOST_GPUS, WHOLE_GPU};
pub use resources::{Dimension, Resources};
pub use secret::{Env, KeyId, Sealed};
