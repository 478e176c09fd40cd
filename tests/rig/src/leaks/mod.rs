//! What an instance has on the machine and should not have.

mod content;
mod files;
mod live;
mod machine;

use flynn_instance::Layout;

pub use content::of_content;
pub use live::Live;
pub(crate) use machine::groups;
pub use machine::{Process, links, processes_of};

/// Everything that is left of an instance that was taken down, but its data: each as text that says what it is.
pub fn of(layout: &Layout) -> Vec<String> {
    let mut left = beside(layout, &Live::default());
    left.extend(machine::own(layout));
    left
}

/// Everything that a running instance has and no live job needs. Nothing may be on its way, such as a build.
pub fn beside(layout: &Layout, live: &Live) -> Vec<String> {
    let mut found = machine::of_jobs(layout);
    found.extend(files::of_jobs(layout));
    found.retain(|found| !live.needs(found));
    found.extend(files::temporary(layout));
    found
}
