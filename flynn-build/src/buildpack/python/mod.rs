//! Python: packages by uv, into a virtual environment of their own.

mod inputs;
mod pack;
mod uv;
mod version;

pub use pack::PythonPack;
