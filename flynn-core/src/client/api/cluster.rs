//! Nodes and quotas.

use reqwest::Method;

use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{DefaultQuota, Limits, Node, NodeChange, Page, PageQuery, Quota};

impl Api {
    /// The machines of the cluster.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn nodes(&self, page: &PageQuery) -> Result<Page<Node>, ApiError> {
        self.transport.fetch(Ask::get("list nodes", &["nodes"]).page(page)).await
    }

    /// A machine of the cluster.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn node(&self, node: &str) -> Result<Node, ApiError> {
        self.transport.fetch(Ask::get("look up the node", &["nodes", node])).await
    }

    /// Sets and takes away labels of a node.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn change_node(&self, node: &str, change: &NodeChange) -> Result<Node, ApiError> {
        let ask = Ask::new("change the node", Method::PATCH, &["nodes", node]);
        self.transport.fetch(ask.expecting(self.expected).body(change)?).await
    }

    /// Moves what a node has away, and gives it nothing more.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn drain_node(&self, node: &str) -> Result<Node, ApiError> {
        self.transport.fetch(Ask::new("drain the node", Method::POST, &["nodes", node, "drain"])).await
    }

    /// Lets a node take work again.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn undrain_node(&self, node: &str) -> Result<Node, ApiError> {
        self.transport.fetch(Ask::new("undrain the node", Method::POST, &["nodes", node, "undrain"])).await
    }

    /// What the teams that the caller may see may use, and what they use.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn quotas(&self, page: &PageQuery) -> Result<Page<Quota>, ApiError> {
        self.transport.fetch(Ask::get("list quotas", &["quotas"]).page(page)).await
    }

    /// What a team may use, and what it uses.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn quota(&self, team: &str) -> Result<Quota, ApiError> {
        self.transport.fetch(Ask::get("look up the quota", &["teams", team, "quota"])).await
    }

    /// Limits what a team may use, in place of what was set before.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn put_quota(&self, team: &str, limits: &Limits) -> Result<Quota, ApiError> {
        let ask = Ask::new("set the quota", Method::PUT, &["teams", team, "quota"]);
        self.transport.fetch(ask.expecting(self.expected).body(limits)?).await
    }

    /// What every team may use whose own quota says nothing else.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn default_quota(&self) -> Result<DefaultQuota, ApiError> {
        self.transport.fetch(Ask::get("look up the quota for every team", &["default-quota"])).await
    }

    /// Limits what every team may use whose own quota says nothing else, in place of what was set before.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn put_default_quota(&self, limits: &Limits) -> Result<DefaultQuota, ApiError> {
        let ask = Ask::new("set the quota for every team", Method::PUT, &["default-quota"]);
        self.transport.fetch(ask.expecting(self.expected).body(limits)?).await
    }
}
