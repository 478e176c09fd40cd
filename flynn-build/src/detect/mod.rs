//! What a source tree is written in and how it is started: a decision about names and a few small files.
//!
//! [`detect`] knows Python, Node.js, Go, static sites and apps that consist of a `Procfile` alone. It reads nothing
//! but the [`Evidence`] and gives a [`Plan`], or says what it looked for.
//!
//! Not here: other languages, `app.json`, `.flynnignore` and `.dockerignore`, and trees with several apps.

mod evidence;
mod go;
mod node;
mod plan;
mod procfile;
mod project;
mod python;
mod site;

pub use evidence::Evidence;
pub use go::GoPlan;
pub use node::{NodePackages, NodePlan, NodeTool};
pub use plan::{Kind, Language, Plan, Undetected, VersionRequest, detect};
pub use procfile::{Procfile, ProcfileError};
pub use python::{PythonPackages, PythonPlan, PythonServe};
pub use site::SitePlan;
