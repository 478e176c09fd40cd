//! The threads that serve: each has a core, a listener and a runtime to itself.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use anyhow::Context;
use flynn_router::proxy::{Drained, Proxy};
use flynn_router::tls::Tls;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// Clients that may wait to be accepted on each listener.
const BACKLOG: i32 = 1_024;

/// Listeners on one address, over which the operating system spreads the clients.
pub(crate) fn listeners(address: SocketAddr, option: &'static str, count: usize) -> anyhow::Result<Vec<TcpListener>> {
    // Says what is wrong with the address. A port that somebody has is not shared with him.
    let only = flynn_instance::bind(address, option)?;
    if count < 2 {
        return Ok(vec![only]);
    }
    let address = only.local_addr()?;
    drop(only);
    let listeners = (0..count).map(|_| share(address)).collect::<io::Result<_>>();
    listeners.with_context(|| format!("{option} {address} cannot be shared by {count} threads"))
}

fn share(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// The threads, from their start to their end.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Vec<JoinHandle<Drained>>,
    /// How many still serve.
    left: watch::Sender<usize>,
}

/// The listeners of one thread.
struct Doors {
    plain: tokio::net::TcpListener,
    secured: Option<(Tls, tokio::net::TcpListener)>,
}

/// A thread that serves.
struct Serving(watch::Sender<usize>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.send_modify(|left| *left -= 1);
    }
}

impl Workers {
    /// Begins to serve each listener, those for HTTPS with `tls`, until `stop` is true.
    pub(crate) fn start(
        proxy: &Proxy,
        listeners: Vec<TcpListener>,
        tls: Option<&Tls>,
        secured: Vec<TcpListener>,
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let mut prepared = Vec::new();
        let mut secured = secured.into_iter();
        for plain in listeners {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let entered = runtime.enter();
            let secured = secured.next().map(tokio::net::TcpListener::from_std).transpose()?;
            let doors = Doors { plain: tokio::net::TcpListener::from_std(plain)?, secured: tls.cloned().zip(secured) };
            drop(entered);
            prepared.push((runtime, doors));
        }
        let left = watch::Sender::new(0);
        let mut workers = Self { threads: Vec::new(), left: left.clone() };
        for (number, (runtime, doors)) in prepared.into_iter().enumerate() {
            left.send_modify(|left| *left += 1);
            let (proxy, stop, serving) = (proxy.clone(), stop.clone(), Serving(left.clone()));
            let thread = thread::Builder::new().name(format!("serve-{number}"));
            workers.threads.push(thread.spawn(move || serve(&runtime, &proxy, doors, &stop, serving))?);
        }
        Ok(workers)
    }

    /// Waits for the end of all of them.
    pub(crate) async fn ended(self) -> anyhow::Result<Drained> {
        let mut left = self.left.subscribe();
        // It holds a sender itself.
        let _ = left.wait_for(|left| *left == 0).await;
        let mut drained = Drained { cut: 0 };
        for thread in self.threads {
            let one = thread.join().map_err(|_| anyhow::anyhow!("a thread that served broke down"))?;
            drained.cut += one.cut;
        }
        Ok(drained)
    }
}

fn serve(runtime: &Runtime, proxy: &Proxy, doors: Doors, stop: &watch::Receiver<bool>, serving: Serving) -> Drained {
    runtime.block_on(async move {
        let mut left = serving.0.subscribe();
        let stopped = || {
            let mut stop = stop.clone();
            async move { drop(stop.wait_for(|stop| *stop).await) }
        };
        let over_tls = async {
            match doors.secured {
                Some((tls, listener)) => proxy.serve_tls(&tls, listener, stopped()).await,
                None => Drained { cut: 0 },
            }
        };
        let (plain, secured) = tokio::join!(proxy.serve(doors.plain, stopped()), over_tls);
        drop(serving);
        // Others may still use connections that live here.
        let _ = left.wait_for(|left| *left == 0).await;
        Drained { cut: plain.cut + secured.cut }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_port_and_other_routers_do_not() {
        let shared = listeners(([127, 0, 0, 1], 0).into(), "--http", 3).unwrap();
        let address = shared[0].local_addr().unwrap();
        assert!(shared.iter().all(|listener| listener.local_addr().unwrap() == address));
        let refused = listeners(address, "--http", 3).unwrap_err().to_string();
        assert!(refused.contains("in use"), "{refused}");
        drop(shared);
        assert_eq!(listeners(address, "--http", 1).unwrap().len(), 1);
    }
}
