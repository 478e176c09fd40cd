//! Whose content a person may name: digests are no secret, so that naming one proves nothing.

use crate::change::{Action, Batch, Change};
use crate::noun::{Build, BuildState, Objects, Release, TeamId};
use crate::rule::{Denial, Principal};
use crate::value::Digest;

/// Whether the image or source that a person's `change` names is one that a release or build of the same team names, or
/// one that was received from that person.
pub(super) fn check(batch: &Batch, change: &Change, objects: &Objects) -> Result<(), Denial> {
    let Principal::Bearer(_) = batch.principal else { return Ok(()) };
    let (digest, is_known, what) = match change {
        Change::Release(write) => match &write.action {
            Action::Create { team, spec } => (spec.image, has_image(objects, *team, spec.image), "image"),
            _ => return Ok(()),
        },
        Change::Job(write) => match &write.action {
            Action::Create { team, spec } => {
                let image = spec.workload.image;
                (image, has_image(objects, *team, image), "image")
            }
            _ => return Ok(()),
        },
        Change::Build(write) => match &write.action {
            Action::Create { team, spec } => (spec.source, has_source(objects, *team, spec.source), "source"),
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    if is_known || batch.received.contains(&digest) {
        return Ok(());
    }
    let reason = format!("the team has no {what} {digest}: upload it");
    Err(Denial::Forbidden { verb: change.verb(), id: change.id(), reason: reason.into() })
}

fn has_image(objects: &Objects, team: TeamId, image: Digest) -> bool {
    let made = |state: &BuildState| matches!(state, BuildState::Succeeded(output) if output.image == image);
    objects.iter::<Release>().any(|release| release.team == team && release.spec.image == image)
        || objects.iter::<Build>().any(|build| build.team == team && made(&build.status.state))
}

fn has_source(objects: &Objects, team: TeamId, source: Digest) -> bool {
    objects.iter::<Build>().any(|build| build.team == team && build.spec.source == source)
}
