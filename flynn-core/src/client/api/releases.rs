//! Releases and deployments.

use reqwest::Method;

use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{Deployment, Page, PageQuery, Release, Released, Rollback};
use crate::noun::DeploymentId;

impl Api {
    /// The releases of an app, the newest first.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn releases(&self, app: &str, page: &PageQuery) -> Result<Page<Release>, ApiError> {
        self.transport.fetch(Ask::get("list releases", &["apps", app, "releases"]).page(page)).await
    }

    /// The release of an app with this number.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn release(&self, app: &str, number: u64) -> Result<Release, ApiError> {
        let number = number.to_string();
        self.transport.fetch(Ask::get("look up the release", &["apps", app, "releases", &number])).await
    }

    /// Makes a release that is like an earlier one, and deploys it.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn roll_back(&self, app: &str, to: &Rollback) -> Result<Released, ApiError> {
        self.transport.fetch(Ask::new("roll back", Method::POST, &["apps", app, "rollback"]).body(to)?).await
    }

    /// The deployments of an app, the newest first.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn deployments(&self, app: &str, page: &PageQuery) -> Result<Page<Deployment>, ApiError> {
        self.transport.fetch(Ask::get("list deployments", &["apps", app, "deployments"]).page(page)).await
    }

    /// A deployment of an app.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn deployment(&self, app: &str, id: DeploymentId) -> Result<Deployment, ApiError> {
        let id = id.to_string();
        self.transport.fetch(Ask::get("look up the deployment", &["apps", app, "deployments", &id])).await
    }

    /// Lets a deployment go back.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn abort_deployment(&self, app: &str, id: DeploymentId) -> Result<Deployment, ApiError> {
        self.intend("abort the deployment", app, id, "abort").await
    }

    /// Holds a deployment where it is. What is lost is still replaced.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn pause_deployment(&self, app: &str, id: DeploymentId) -> Result<Deployment, ApiError> {
        self.intend("pause the deployment", app, id, "pause").await
    }

    /// Lets a deployment that is held go on, whoever or whatever held it.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn resume_deployment(&self, app: &str, id: DeploymentId) -> Result<Deployment, ApiError> {
        self.intend("resume the deployment", app, id, "resume").await
    }

    async fn intend(
        &self,
        operation: &'static str,
        app: &str,
        id: DeploymentId,
        verb: &str,
    ) -> Result<Deployment, ApiError> {
        let id = id.to_string();
        let path = ["apps", app, "deployments", &id, verb];
        self.transport.fetch(Ask::new(operation, Method::POST, &path).expecting(self.expected)).await
    }
}
