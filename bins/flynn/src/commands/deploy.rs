//! `flynn deploy`: a directory becomes a build, a release and a deployment; an image the last two.

use std::path::PathBuf;

use clap::Args;
use flynn_core::api::{Build, Deployment, NewBuild, NewImage, Release, Released};
use flynn_core::client::Api;
use serde::Serialize;
use tokio::fs::File;

use super::follow;
use crate::archive;
use crate::failure::Failure;
use crate::image_ref::ImageRef;
use crate::session::Session;

/// Upload a directory, build it and deploy what comes of it
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// The directory; `.flynnignore` and `.gitignore` say what stays behind
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Deploy an image instead: an OCI image layout, `[oci:]PATH[:TAG]`, where PATH is a directory or a tar archive
    #[arg(long, value_name = "REF", conflicts_with = "path")]
    image: Option<ImageRef>,
    /// Do not wait for the build and the deployment
    #[arg(long)]
    no_wait: bool,
}

/// What came of an upload.
#[derive(Debug, Serialize)]
struct Deployed {
    build: Build,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<Deployment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

pub(super) async fn run(session: &Session, command: Deploy) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let output = session.output();
    if let Some(image) = &command.image {
        return deploy_image(session, &api, &app, image, command.no_wait).await;
    }
    let archive = archive::pack(&command.path)?;
    output.say(&format!("Uploading {} files, {} KiB.", archive.files, archive.bytes.div_ceil(1 << 10)))?;
    let build = session
        .wait("Uploading", api.create_build(&app, &NewBuild::default(), File::from_std(archive.file), archive.bytes))
        .await?;
    if command.no_wait {
        let number = build.number;
        return output
            .show(&Deployed { build, deployment: None, url: None }, |_| format!("Build {number} is under way.\n"));
    }
    let build = follow::build(session, &api, &app, build.number).await?;
    let deployment = follow::deployment_of(session, &api, &app, &build).await?;
    let url = session.wait("Looking up the app", api.app(&app)).await?.url;
    let deployed = Deployed { build, deployment: Some(deployment), url };
    output.show(&deployed, |style| {
        let release = deployed.build.release.map_or(String::from("It"), |number| format!("v{number}"));
        let url = deployed.url.as_deref().map_or(String::new(), |url| format!(" at {}", style.bold(url)));
        format!("{release} is live{url}.\n")
    })
}

/// What came of an image.
#[derive(Debug, Serialize)]
struct ImageDeployed {
    release: Release,
    deployment: Deployment,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

async fn deploy_image(session: &Session, api: &Api, app: &str, image: &ImageRef, no_wait: bool) -> Result<(), Failure> {
    let output = session.output();
    let layout = image.open()?;
    output.say(&format!("Uploading {}, {} KiB.", layout.path.display(), layout.bytes.div_ceil(1 << 10)))?;
    let new = NewImage { name: Some(layout.name()), tag: layout.tag };
    let uploaded = api.deploy_image(app, &new, File::from_std(layout.file), layout.bytes);
    let Released { release, deployment } = session.wait("Uploading", uploaded).await?;
    if no_wait {
        let number = release.number;
        return output
            .show(&ImageDeployed { release, deployment, url: None }, |_| format!("v{number} is being deployed.\n"));
    }
    let deployment = follow::deployment(session, api, app, deployment.id).await?;
    let url = session.wait("Looking up the app", api.app(app)).await?.url;
    let deployed = ImageDeployed { release, deployment, url };
    output.show(&deployed, |style| {
        let url = deployed.url.as_deref().map_or(String::new(), |url| format!(" at {}", style.bold(url)));
        format!("v{} is live{url}.\n", deployed.release.number)
    })
}
