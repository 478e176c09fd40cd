use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};

use super::{Peer, answer};
use crate::change::Batch;
use crate::error::StoreError;
use crate::port::{Elections, Sample, Store};
use crate::rule::check_text;
use crate::server::problem::Refused;
use crate::wire::peer::{Beating, Candidacy, Resignation, decode, encode};

type Answer = Result<Response<Body>, Refused>;

pub(super) async fn commit<S: Store>(State(peer): State<Arc<Peer<S>>>, request: Request) -> Answer {
    const COMMIT: &str = "commit";
    let (caller, body) = peer.receive(COMMIT, request).await?;
    let mut batch: Batch = decode("batch", &body).map_err(|error| Refused::unreadable(COMMIT, &error))?;
    drop(body);
    let pass = peer.pass(COMMIT, caller).await?;
    pass.admit(&mut batch).map_err(|denial| Refused::denied(COMMIT, denial))?;
    let committed = peer.store.commit(batch).await.map_err(|error| pass.explain(error))?;
    answer(COMMIT, encode("committed", &committed))
}

pub(super) async fn campaign<S: Store + Elections>(State(peer): State<Arc<Peer<S>>>, request: Request) -> Answer {
    const CAMPAIGN: &str = "campaign";
    let (caller, body) = peer.receive(CAMPAIGN, request).await?;
    let asked: Candidacy = decode("campaign", &body).map_err(|error| Refused::unreadable(CAMPAIGN, &error))?;
    check_name(CAMPAIGN, "holder", &asked.holder)?;
    let pass = peer.pass(CAMPAIGN, caller).await?;
    pass.may_lead(asked.seat).map_err(|denial| Refused::denied(CAMPAIGN, denial))?;
    let outcome = peer.store.campaign(asked.seat, &asked.holder, asked.term).await?;
    answer(CAMPAIGN, encode("outcome", &outcome))
}

pub(super) async fn resign<S: Store + Elections>(State(peer): State<Arc<Peer<S>>>, request: Request) -> Answer {
    const RESIGN: &str = "resign";
    let (caller, body) = peer.receive(RESIGN, request).await?;
    let asked: Resignation = decode("resignation", &body).map_err(|error| Refused::unreadable(RESIGN, &error))?;
    let pass = peer.pass(RESIGN, caller).await?;
    pass.may_lead(asked.seat).map_err(|denial| Refused::denied(RESIGN, denial))?;
    peer.store.resign(asked.seat, asked.epoch).await?;
    Ok(done())
}

pub(super) async fn beat<S: Store>(State(peer): State<Arc<Peer<S>>>, request: Request) -> Answer {
    const BEAT: &str = "beat";
    let (caller, body) = peer.receive(BEAT, request).await?;
    let beating: Beating = decode("beat", &body).map_err(|error| Refused::unreadable(BEAT, &error))?;
    check_name(BEAT, "incarnation", &beating.beat.incarnation)?;
    let pass = peer.pass(BEAT, caller).await?;
    pass.may_beat(beating.member).map_err(|denial| Refused::denied(BEAT, denial))?;
    peer.presence.beat(beating.member, beating.beat, beating.lease).await?;
    Ok(done())
}

pub(super) async fn samples<S: Store>(State(peer): State<Arc<Peer<S>>>, request: Request) -> Answer {
    const RECORD: &str = "record samples";
    let (caller, body) = peer.receive(RECORD, request).await?;
    let samples: Vec<Sample> = decode("samples", &body).map_err(|error| Refused::unreadable(RECORD, &error))?;
    let pass = peer.pass(RECORD, caller).await?;
    let samples = pass.admit_samples(samples).map_err(|denial| Refused::denied(RECORD, denial))?;
    peer.samples.record(samples).await?;
    Ok(done())
}

/// What a process calls itself is kept, and so has an end.
fn check_name(operation: &'static str, field: &'static str, name: &str) -> Result<(), Refused> {
    check_text(field, name, 256)
        .map_err(|invalid| StoreError::Invalid { operation, what: String::from("request"), invalid }.into())
}

fn done() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
