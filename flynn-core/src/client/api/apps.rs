//! Apps and their configuration.

use reqwest::Method;

use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{App, AppChange, AppQuery, Config, ConfigChange, ConfigChanged, Confirm, NewApp, Page};

impl Api {
    /// The apps that the caller may see, by name.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn apps(&self, query: &AppQuery) -> Result<Page<App>, ApiError> {
        let ask = Ask::get("list apps", &["apps"]).query("team", query.team.as_ref());
        self.transport.fetch(ask.query("cursor", query.cursor.as_ref()).query("limit", query.limit)).await
    }

    /// An app.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn app(&self, app: &str) -> Result<App, ApiError> {
        self.transport.fetch(Ask::get("look up the app", &["apps", app])).await
    }

    /// Makes an app and its default route.
    ///
    /// # Errors
    /// See [`ApiError`]; `Conflict` if the name is taken.
    pub async fn create_app(&self, app: &NewApp) -> Result<App, ApiError> {
        self.transport.fetch(Ask::new("create the app", Method::POST, &["apps"]).body(app)?).await
    }

    /// Renames an app, or sends its visitors to the maintenance page and back.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn change_app(&self, app: &str, change: &AppChange) -> Result<App, ApiError> {
        let ask = Ask::new("change the app", Method::PATCH, &["apps", app]).expecting(self.expected);
        self.transport.fetch(ask.body(change)?).await
    }

    /// Takes an app apart, with all that hangs from it. `name` is its name, once more. The answer comes when this has
    /// begun.
    ///
    /// # Errors
    /// See [`ApiError`]; `Invalid` if the name is not that of the app.
    pub async fn destroy_app(&self, app: &str, name: &str) -> Result<App, ApiError> {
        let confirm = Confirm { confirm: Some(name.to_owned()) };
        let ask = Ask::new("destroy the app", Method::DELETE, &["apps", app]).query("confirm", confirm.confirm);
        self.transport.fetch(ask.expecting(self.expected)).await
    }

    /// The configuration of an app.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn config(&self, app: &str) -> Result<Config, ApiError> {
        self.transport.fetch(Ask::get("read the configuration", &["apps", app, "config"])).await
    }

    /// Changes the configuration of an app, which makes a release and a deployment of it if the app has a release.
    ///
    /// # Errors
    /// See [`ApiError`]; `Invalid` names the variables that are wrong.
    pub async fn change_config(&self, app: &str, change: &ConfigChange) -> Result<ConfigChanged, ApiError> {
        let ask = Ask::new("change the configuration", Method::PATCH, &["apps", app, "config"]);
        self.transport.fetch(ask.expecting(self.expected).body(change)?).await
    }
}
