//! Source trees as values: taken in from a hostile archive or a commit, packed so that the same content has the
//! same digest, stored and unpacked.
//!
//! Nothing of an archive touches the file system by its name before the whole of it has been checked: names
//! go into an index in memory, content goes into one unnamed file. There is no path to be tricked into.

mod archive;
mod blocking;
mod error;
mod folder;
mod header;
mod inflate;
mod limits;
mod links;
mod pack;
mod path;
mod store;
mod tree;
mod unpack;

pub use error::SourceError;
pub use limits::{CaseCollisions, Intake, Limits};
pub use pack::Packed;
pub use path::TreePath;
pub use tree::{Content, ContentReader, Entry, SourceTree};

pub(crate) use blocking::WaitingReader;
pub(crate) use pack::header_into;
pub(crate) use path::printable;
pub(crate) use tree::TreeBuilder;
