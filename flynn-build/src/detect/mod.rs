//! What a source tree is written in and how it is started: a decision about names and a few small files.
//!
//! [`detect`] knows Python, Node.js, static sites and apps that consist of a `Procfile` alone. It reads nothing
//! but the [`Evidence`] and gives a [`Plan`], or says what it looked for.
//!
//! Not here: other languages, `app.json`, `.flynnignore` and `.dockerignore`, and workspaces with several apps.

mod evidence;
mod node;
mod plan;
mod procfile;
mod project;
mod python;
mod site;

pub use evidence::Evidence;
pub use node::{NodePackages, NodePlan};
pub use plan::{Kind, Language, Plan, Undetected, VersionRequest, detect};
pub use procfile::{Procfile, ProcfileError};
pub use python::{PythonPackages, PythonPlan};
pub use site::SitePlan;
