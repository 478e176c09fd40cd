//! Images that were made elsewhere.

use std::collections::BTreeMap;

use super::builds::refused;
use super::document::{deployment as deployment_document, release as document};
use super::exchange::{Created, Upload};
use super::incoming::Incoming;
use super::releases::{self, Next};
use super::routes::Routes;
use super::{ApiError, Call, TakenImage};
use crate::api::{NewImage, Released};
use crate::change::{Change, Expectation};
use crate::id::Id;
use crate::noun::{App, Deployment, Release, ReleaseCause, Stored};
use crate::rule::authorize;
use crate::value::{Digest, Env};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.post("/v1/apps/{app}/images", "deployImage", "Deploys an image that was made elsewhere.", deploy).details(
        "The body is a tar archive of an OCI image layout, plain or compressed with gzip, with all blobs of the image: \
         what is merely named is not looked for among those of others. Layers are tar archives, plain or compressed \
         with gzip. The release runs the image's entrypoint and command as the process type `web`, on the lowest TCP \
         port that the image exposes, or else on 8080; `PORT` says which.",
    )
}

async fn deploy(mut call: Call, upload: Upload<NewImage>) -> Result<Created<Released>, ApiError> {
    let app = call.app()?;
    let state = call.api.state.clone();
    let Upload { query: NewImage { name, tag }, body } = upload;
    let name = name.unwrap_or_else(|| "an image".to_owned());
    let nothing = TakenImage { image: Digest::from_bytes([0; 32]), processes: BTreeMap::new() };
    check_allowed(&call, &app, release(&app, Env::new(), &name, &nothing))?;
    let (incoming, trouble) = Incoming::new(body, state.options.image_limit, state.options.upload_idle);
    let taken = match state.sources.take_image(app.id, Box::new(incoming), tag).await {
        Ok(taken) => taken,
        Err(problem) => return Err(refused("image", &trouble, problem, state.options.image_limit)),
    };
    call.asked(taken.image.as_bytes());
    let committed = call
        .commit(|edit| {
            let stored = edit.living(app.id)?;
            // The release takes a copy of the configuration.
            edit.received(taken.image);
            edit.expect(Expectation::Spec(stored.id.into(), stored.spec_version));
            let release = release(&stored, stored.spec.env.clone(), &name, &taken);
            releases::deploy(edit, Next { app: &stored, from: stored.status.release, release })
        })
        .await?;
    let (release, deployment) = (call.made::<Release>(&committed)?, call.made::<Deployment>(&committed)?);
    let released = Released {
        release: document(call.objects(), &release),
        deployment: deployment_document(call.objects(), &deployment),
    };
    Ok(Created::of(released, release.spec_version))
}

fn release(app: &Stored<App>, env: Env, name: &str, taken: &TakenImage) -> Release {
    Release { env, ..Release::of_image(app.id, 1, taken.image, name, taken.processes.clone()) }
}

/// Nothing is taken in from who may not deploy.
fn check_allowed(call: &Call, app: &Stored<App>, release: Release) -> Result<(), ApiError> {
    if let ReleaseCause::Image(name) = &release.cause
        && name.len() > 256
    {
        return Err(ApiError::invalid("name", "it has more than 256 bytes"));
    }
    let change = Change::create(Id::from_uuid(uuid::Uuid::new_v4()), app.team, release);
    Ok(authorize(&call.authority, &change, call.objects())?)
}
