use anyhow::Context;
use flynn_core::local::FileKeyRing;
use flynn_core::{Clock, SystemClock};
use flynn_instance::Layout;

/// Opens the key file. It is made only where nothing can have been sealed yet.
pub(crate) fn open(layout: &Layout) -> anyhow::Result<FileKeyRing> {
    let path = layout.keys();
    let is_first = !path.exists() && !layout.store().exists();
    let keys = match is_first {
        true => FileKeyRing::create(&path, SystemClock.now()),
        false => FileKeyRing::open(&path),
    };
    keys.context("the data directory cannot be used")
}
