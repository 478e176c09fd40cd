//! From a push to what an image is built from: source trees, what they are written in, and the git service.

pub mod detect;
pub mod git;
pub mod source;
