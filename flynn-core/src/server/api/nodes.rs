//! The machines, and the record of who changed what.

use std::sync::Arc;

use super::call::named;
use super::document::{audit as audit_document, node as document};
use super::exchange::{Accepted, Done, Json, Query, Shown};
use super::routes::Routes;
use super::{ApiError, Call, paging};
use crate::api::{self, AuditEntry, FieldError, NodeChange, Page, PageQuery};
use crate::name::{LabelKey, LabelValue};
use crate::noun::{Node, NodeId, Scheduling, Stored, Token, TokenScope};
use crate::port::Cursor;
use crate::wire::Text;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/nodes", "listNodes", "The nodes, by name. Takes an administrator.", list)
        .get("/v1/nodes/{node}", "getNode", "A node, by name or id. Takes an administrator.", get)
        .patch("/v1/nodes/{node}", "changeNode", "Sets and takes away labels of a node.", change)
        .post(
            "/v1/nodes/{node}/drain",
            "drainNode",
            "Gives a node no more work and moves away what it has.",
            async |call, ()| schedule(call, Scheduling::Draining).await,
        )
        .post("/v1/nodes/{node}/undrain", "undrainNode", "Lets a node take work.", async |call, ()| {
            schedule(call, Scheduling::Open).await
        })
        .delete("/v1/nodes/{node}", "removeNode", "Removes a node that has no work, with its tokens.", remove)
        .get("/v1/audit", "audit", "Who changed what, the newest first. Takes an administrator.", audit)
}

async fn list(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::Node>>, ApiError> {
    call.must_read_all()?;
    let seen = call.api.state.presence.seen().await?;
    let nodes = call.objects().iter::<Node>().map(|node| (node.spec.name.to_string(), node)).collect();
    paging::sorted(nodes, &query, |node| document(call.objects(), node, &seen)).map(Shown::new)
}

fn node_of(call: &Call) -> Result<Arc<Stored<Node>>, ApiError> {
    let text = call.param("node");
    let found = named(call.objects(), text, |node: &Node| node.name.as_str());
    found.filter(|_| call.reads_all()).ok_or_else(|| ApiError::not_found("node", text))
}

async fn shown(call: &Call, id: NodeId) -> Result<(api::Node, crate::Revision), ApiError> {
    let seen = call.api.state.presence.seen().await?;
    let node = call.objects().get(id).ok_or_else(|| ApiError::not_found("node", &id.to_string()))?;
    Ok((document(call.objects(), node, &seen), node.spec_version))
}

async fn get(call: Call, (): ()) -> Result<Shown<api::Node>, ApiError> {
    let id = node_of(&call)?.id;
    let (node, version) = shown(&call, id).await?;
    Ok(Shown::of(node, version))
}

async fn change(mut call: Call, Json(change): Json<NodeChange>) -> Result<Shown<api::Node>, ApiError> {
    let id = node_of(&call)?.id;
    let labels = check_labels(change)?;
    call.commit(|edit| {
        let stored = edit.meant(id)?;
        let mut next = stored.spec.clone();
        for (key, value) in &labels {
            match value {
                Some(value) => drop(next.labels.insert(key.clone(), value.clone())),
                None => drop(next.labels.remove(key)),
            }
        }
        edit.update(&stored, next);
        Ok(())
    })
    .await?;
    let (node, version) = shown(&call, id).await?;
    Ok(Shown::of(node, version))
}

fn check_labels(change: NodeChange) -> Result<Vec<(LabelKey, Option<LabelValue>)>, ApiError> {
    let mut errors = Vec::new();
    let mut labels = Vec::new();
    for (key, value) in change.labels {
        match (LabelKey::new(&key), value.as_deref().map(LabelValue::new).transpose()) {
            (Ok(key), Ok(value)) => labels.push((key, value)),
            (Err(error), _) | (_, Err(error)) => {
                let key: String = key.chars().take(80).flat_map(char::escape_debug).collect();
                errors.push(FieldError { field: format!("labels.{key}"), detail: error.to_string() });
            }
        }
    }
    if errors.is_empty() { Ok(labels) } else { Err(ApiError::invalid_fields(errors)) }
}

async fn schedule(mut call: Call, scheduling: Scheduling) -> Result<Accepted<api::Node>, ApiError> {
    let id = node_of(&call)?.id;
    call.commit(|edit| {
        let stored = edit.meant(id)?;
        edit.update(&stored, Node { scheduling, ..stored.spec.clone() });
        Ok(())
    })
    .await?;
    let (node, version) = shown(&call, id).await?;
    Ok(Accepted::of(node, version))
}

async fn remove(mut call: Call, (): ()) -> Result<Done, ApiError> {
    let id = node_of(&call)?.id;
    call.commit(|edit| {
        let stored = edit.meant(id)?;
        let is_own = |token: &&Arc<Stored<Token>>| matches!(token.spec.scope, TokenScope::Node(node) if node == id);
        let tokens: Vec<_> = edit.objects.iter::<Token>().filter(is_own).cloned().collect();
        tokens.iter().for_each(|token| edit.remove(token));
        edit.remove(&stored);
        Ok(())
    })
    .await?;
    Ok(Done)
}

async fn audit(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<AuditEntry>>, ApiError> {
    call.must_read_all()?;
    let cursor = match &query.cursor {
        Some(text) => {
            Cursor::decode(text).map_err(|_| ApiError::malformed("cursor", "use the `next` of the page before"))?
        }
        None => Cursor::default(),
    };
    let found = call.api.state.history.audit(cursor, paging::limit(query.limit)?).await?;
    let items = found.entries.into_iter().map(|record| audit_document(call.objects(), record)).collect();
    Ok(Shown::new(Page { items, next: found.next.map(|cursor| cursor.encode()) }))
}
