//! Source trees from archives: those of real tar programs, hostile ones and damaged ones.

mod archive;
mod blobs;
mod fuzz;
mod hostile;
mod real;
mod unpack;
