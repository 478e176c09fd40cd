//! Formations and jobs.

use reqwest::Method;

use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{Formation, FormationChange, Job, JobQuery, Jobs, Page, Restart};

impl Api {
    /// How many instances of each process type an app wants.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn formation(&self, app: &str) -> Result<Formation, ApiError> {
        self.transport.fetch(Ask::get("read the formation", &["apps", app, "formation"])).await
    }

    /// Changes how many instances there are to be, and how large.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn change_formation(&self, app: &str, change: &FormationChange) -> Result<Formation, ApiError> {
        let ask = Ask::new("change the formation", Method::PATCH, &["apps", app, "formation"]);
        self.transport.fetch(ask.expecting(self.expected).body(change)?).await
    }

    /// The jobs of an app, the newest first.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn jobs(&self, app: &str, query: &JobQuery) -> Result<Page<Job>, ApiError> {
        let ask = Ask::get("list processes", &["apps", app, "jobs"]).query("process", query.process.as_ref());
        let ask = ask.query("ended", query.ended.then_some(true));
        let ask = ask.query("cursor", query.cursor.as_ref()).query("limit", query.limit);
        self.transport.fetch(ask).await
    }

    /// A job of an app, by its id or its name such as `web.1`.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn job(&self, app: &str, job: &str) -> Result<Job, ApiError> {
        self.transport.fetch(Ask::get("look up the process", &["apps", app, "jobs", job])).await
    }

    /// Replaces running instances, and answers which.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn restart(&self, app: &str, restart: &Restart) -> Result<Jobs, ApiError> {
        self.transport.fetch(Ask::new("restart", Method::POST, &["apps", app, "restart"]).body(restart)?).await
    }

    /// Ends a job, by its id or its name. The instance of a formation is replaced.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn kill(&self, app: &str, job: &str) -> Result<Job, ApiError> {
        let ask = Ask::new("stop the process", Method::DELETE, &["apps", app, "jobs", job]);
        self.transport.fetch(ask.expecting(self.expected)).await
    }
}
