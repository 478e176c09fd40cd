use std::collections::BTreeSet;

use flynn_core::noun::{Build, BuildState, Job, Objects, Release};
use flynn_core::value::Digest;

/// What the objects of a store name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Roots {
    /// Manifests of images.
    pub(super) images: BTreeSet<Digest>,
    /// Sources.
    pub(super) sources: BTreeSet<Digest>,
    /// Whether a build is under way, which may be about to name what nobody names yet.
    pub(super) building: bool,
}

impl Roots {
    pub(super) fn of(objects: &Objects) -> Self {
        let mut roots = Self::default();
        roots.images.extend(objects.iter::<Release>().map(|release| release.spec.image));
        roots.images.extend(objects.iter::<Job>().map(|job| job.spec.workload.image));
        for build in objects.iter::<Build>() {
            match &build.status.state {
                BuildState::Succeeded(output) => drop(roots.images.insert(output.image)),
                state if state.is_end() => {}
                _ => {
                    roots.building = true;
                    roots.sources.insert(build.spec.source);
                }
            }
        }
        roots
    }
}
