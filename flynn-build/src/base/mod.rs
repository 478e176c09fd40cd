//! Base images: the file systems that apps are run on and built in.
//!
//! [`BaseImages`] is the port, and [`Bases`] makes them of Debian's packages with the program `mmdebstrap`.
//! There are two, each one layer: [`BaseKind::Run`], which every container of an app has below its own layers, and
//! [`BaseKind::Build`], with compilers and headers besides. [`open`] gives a handle and a driver. The driver makes
//! what is missing in the background, the run image first, since a build that compiles nothing needs no other; the
//! handle waits for it.
//!
//! A layer depends on nothing but the [`Recipe`] and the versions of the packages: of the same packages the same
//! bytes come out, on every machine. It is kept in the blob store, and what is kept is recorded in a folder, so that
//! the next start has nothing to do. Images of an earlier time are renewed, so that security updates reach them; who
//! collects blobs leaves alone what [`Bases::state`] names.
//!
//! Not here: images for other processors than the machine's own, a cache of downloaded packages (give a caching
//! mirror or proxy), the layers above.

mod archive;
mod bases;
mod child;
mod driver;
mod error;
mod mmdebstrap;
mod port;
mod recipe;
mod records;
mod settings;
mod state;
mod versions;

pub use bases::Bases;
pub use driver::{BaseDriver, open};
pub use error::MakeError;
pub use port::{BaseError, BaseImage, BaseImages, BaseKind};
pub use recipe::Recipe;
pub use settings::{BaseSettings, BaseSource, Mmdebstrap};
pub use state::{Base, BaseState};
