//! Builds from uploaded source, and uploaded images.

use reqwest::{Body, Method};
use tokio::io::AsyncRead;

use super::content::Content;
use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{Build, NewBuild, NewImage, Page, PageQuery, Released};

impl Api {
    /// The builds of an app, the newest first.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn builds(&self, app: &str, page: &PageQuery) -> Result<Page<Build>, ApiError> {
        self.transport.fetch(Ask::get("list builds", &["apps", app, "builds"]).page(page)).await
    }

    /// The build of an app with this number.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn build(&self, app: &str, number: u64) -> Result<Build, ApiError> {
        let number = number.to_string();
        self.transport.fetch(Ask::get("look up the build", &["apps", app, "builds", &number])).await
    }

    /// Uploads a source tree, the first `bytes` bytes of a tar archive, and builds it. The build becomes a release, and
    /// that is deployed.
    ///
    /// # Errors
    /// See [`ApiError`]; `Invalid` says what is wrong with the archive.
    pub async fn create_build(
        &self,
        app: &str,
        build: &NewBuild,
        archive: impl AsyncRead + Send + Sync + Unpin + 'static,
        bytes: u64,
    ) -> Result<Build, ApiError> {
        let ask = Ask::new("upload the source", Method::POST, &["apps", app, "builds"]);
        let ask = ask.query("commit", build.commit.as_ref());
        self.transport.upload(ask, "application/x-tar", Body::wrap(Content::new(archive, bytes))).await
    }

    /// Stops a build and throws away what it made.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn cancel_build(&self, app: &str, number: u64) -> Result<Build, ApiError> {
        let number = number.to_string();
        let path = ["apps", app, "builds", &number, "cancel"];
        self.transport.fetch(Ask::new("cancel the build", Method::POST, &path).expecting(self.expected)).await
    }

    /// Uploads an image, the first `bytes` bytes of a tar archive of an OCI image layout, and deploys it.
    ///
    /// # Errors
    /// See [`ApiError`]; `Invalid` says what is wrong with the layout.
    pub async fn deploy_image(
        &self,
        app: &str,
        image: &NewImage,
        layout: impl AsyncRead + Send + Sync + Unpin + 'static,
        bytes: u64,
    ) -> Result<Released, ApiError> {
        let ask = Ask::new("upload the image", Method::POST, &["apps", app, "images"]);
        let ask = ask.query("name", image.name.as_ref()).query("tag", image.tag.as_ref());
        self.transport.upload(ask, "application/x-tar", Body::wrap(Content::new(layout, bytes))).await
    }
}
