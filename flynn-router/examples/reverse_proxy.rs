//! The proxy without a store: all requests go to the given addresses.
//!
//! `cargo run --release --example reverse_proxy -- 127.0.0.1:8080 127.0.0.1:3000 127.0.0.1:3001`
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use flynn_core::name::{AppName, PathPrefix, ProcessName};
use flynn_core::noun::Traffic;
use flynn_core::{Id, Ids, SystemClock, Timestamp};
use flynn_router::access::NoAccessLog;
use flynn_router::proxy::{Proxy, ProxySettings};
use flynn_router::table::{Backend, FoundRoute, Host, Passage, RouteTable, Target, TargetKey, TargetState};
use tokio::net::TcpListener;

/// A table in which every host and path leads to one target.
#[derive(Debug)]
struct OneTarget(Arc<FoundRoute>);

impl RouteTable for OneTarget {
    fn lookup(&self, _: &Host, _: &str) -> Option<Arc<FoundRoute>> {
        Some(self.0.clone())
    }

    fn enter(&self) -> Passage {
        Passage::unwatched()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses = std::env::args().skip(1).map(|argument| argument.parse::<SocketAddr>());
    let listen = addresses.next().ok_or("say where to listen, then where the instances are")??;
    let mut ids = Ids::from_entropy();
    let backend = |address| Arc::new(Backend::new(ids.next(Timestamp::EPOCH), address));
    let backends = addresses.collect::<Result<Vec<_>, _>>()?.into_iter().map(backend).collect();
    let state = TargetState { name: AppName::new("app")?, traffic: Traffic::Serve, backends };
    let target = Target::new(TargetKey { app: Id::NIL, process: ProcessName::new("web")? }, state);
    let route = FoundRoute::new(&PathPrefix::root(), Arc::new(target), Arc::default());
    let table = Arc::new(OneTarget(Arc::new(route)));
    let proxy = Proxy::new(table, Arc::new(NoAccessLog), Arc::new(SystemClock), ProxySettings::default());
    let drained = proxy.serve(TcpListener::bind(listen).await?, std::future::pending()).await;
    println!("{drained:?}");
    Ok(())
}
