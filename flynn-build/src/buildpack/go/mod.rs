//! Go: the toolchain and packages from the module proxy.

mod pack;
mod programs;
mod toolchain;

pub use pack::GoPack;
