//! The node agent: the loop from the jobs of a node to its containers.
//!
//! [`pass`](pass::pass) decides, [`Agent`] drives it: it follows the node's scope of the store, looks at what the
//! runtime lists and the workplace keeps, and carries out what was decided. An exit is committed before anything
//! of its job is taken away. An agent can be killed at any time; the next one goes on from what is there.
//!
//! A [`Workplace`] gets ready what a container is made from. [`ContainerWorkplace`] is the real one;
//! [`PlainWorkplace`] is for plain processes, and uses no images.
//!
//! What jobs write is measured again and again ([`Workplace::written`]). Who writes more than the disk limit of the job
//! allows is killed, as by the kernel for memory; while less of the disk is left than is reserved on the node, no job is
//! prepared.
//!
//! An agent also answers what is asked of its node through a [`NodeLink`](flynn_core::port::NodeLink): see
//! [`Agent::link`].

mod commit;
mod driver;
mod meter;
mod operation;
mod options;
pub mod pass;
mod presence;
mod retry;
mod visit;
mod watch;
mod workplace;

pub use driver::{Agent, AgentError};
pub use options::{AgentOptions, AgentParts};
pub(crate) use workplace::privileges;
pub use workplace::{
    ContainerWorkplace, ContainerWorkplaceOptions, ContainerWorkplaceParts, EnvironmentError, Environments,
    PlainWorkplace, Workplace, WorkplaceError,
};
