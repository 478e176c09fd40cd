//! Nodes.

use reqwest::Method;

use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{Node, Page, PageQuery};

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
}
