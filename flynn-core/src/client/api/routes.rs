//! Routes and domains.

use reqwest::Method;

use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{Domain, NewDomain, NewRoute, Page, PageQuery, Route};
use crate::noun::RouteId;

impl Api {
    /// The routes of an app.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn routes(&self, app: &str, page: &PageQuery) -> Result<Page<Route>, ApiError> {
        self.transport.fetch(Ask::get("list routes", &["apps", app, "routes"]).page(page)).await
    }

    /// Lets requests for a host, below a path, reach a process type of an app.
    ///
    /// # Errors
    /// See [`ApiError`]; `Conflict` if host and path are taken.
    pub async fn create_route(&self, app: &str, route: &NewRoute) -> Result<Route, ApiError> {
        self.transport.fetch(Ask::new("add the route", Method::POST, &["apps", app, "routes"]).body(route)?).await
    }

    /// Takes a route away.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn remove_route(&self, app: &str, id: RouteId) -> Result<(), ApiError> {
        let id = id.to_string();
        let ask = Ask::new("remove the route", Method::DELETE, &["apps", app, "routes", &id]);
        self.transport.tell(ask.expecting(self.expected)).await
    }

    /// The hosts that reach an app.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn domains(&self, app: &str, page: &PageQuery) -> Result<Page<Domain>, ApiError> {
        self.transport.fetch(Ask::get("list domains", &["apps", app, "domains"]).page(page)).await
    }

    /// Lets all requests for a host reach the `web` process of an app.
    ///
    /// # Errors
    /// See [`ApiError`]; `Conflict` if the host is taken.
    pub async fn add_domain(&self, app: &str, domain: &NewDomain) -> Result<Domain, ApiError> {
        self.transport.fetch(Ask::new("add the domain", Method::POST, &["apps", app, "domains"]).body(domain)?).await
    }

    /// Takes all routes of a host away from an app.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn remove_domain(&self, app: &str, host: &str) -> Result<(), ApiError> {
        let ask = Ask::new("remove the domain", Method::DELETE, &["apps", app, "domains", host]);
        self.transport.tell(ask).await
    }
}
