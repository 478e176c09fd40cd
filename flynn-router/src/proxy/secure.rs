//! Clients that speak TLS: a handshake, then the protocol that was agreed on.

use std::sync::Arc;

use bytes::BytesMut;
use hyper::Request;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::handler::{Ends, Shared};
use super::http2;
use super::serve::serve_reference;
use super::town::Word;
use crate::tls::{Accepted, Protocol, Tls};

pub(super) async fn serve_secured(
    shared: Arc<Shared>,
    tls: Tls,
    stream: TcpStream,
    ends: Ends,
    mut word: watch::Receiver<Word>,
) {
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        () = stopped(&mut word) => return,
    };
    let Accepted { stream, secured, protocol } = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            shared.meters.unsecured();
            tracing::debug!(error = &error as &dyn std::error::Error, client = %ends.client, "proxy: a handshake failed");
            return;
        }
    };
    let mark = move |request: &mut Request<Incoming>| drop(request.extensions_mut().insert(secured.clone()));
    match protocol {
        Protocol::Http1 => serve_reference(shared, stream, BytesMut::new(), ends, word, mark).await,
        Protocol::Http2 => http2::serve(shared, stream, ends, word, mark).await,
    }
}

async fn stopped(word: &mut watch::Receiver<Word>) {
    while word.changed().await.is_ok() {
        if matches!(*word.borrow_and_update(), Word::Stop) {
            return;
        }
    }
}
