//! Python: the base image's own, packages by uv.

mod inputs;
mod install;
mod pack;
mod pipenv;
mod poetry;
mod range;
mod serve;
mod statics;
mod uv;
mod version;

pub use pack::PythonPack;

/// The virtual environment, where the app will find it too.
const ENVIRONMENT: &str = "/layers/python/venv";
