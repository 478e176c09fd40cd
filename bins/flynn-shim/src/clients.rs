//! All connections to the socket of the job.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use flynn_runtime::shim::{Answer, Files};

use crate::client::Client;

/// More at once are refused.
const MOST: usize = 256;

#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) listener: UnixListener,
    pub(crate) all: BTreeMap<u64, Client>,
    next: u64,
    gone: Vec<u64>,
}

/// The request that a reply belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) client: u64,
    pub(crate) request: u64,
}

impl Clients {
    pub(crate) fn listen(files: &Files) -> io::Result<Self> {
        let listener = bind(files, Files::SOCKET)?;
        Ok(Self { listener, all: BTreeMap::new(), next: 0, gone: Vec::new() })
    }

    /// Lets in whoever knocks, if it is the owner of the job or root.
    pub(crate) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) else {
                continue;
            };
            let welcome = peer.uid.is_root() || peer.uid == rustix::process::geteuid();
            if let (true, true, Ok(client)) = (welcome, self.all.len() < MOST, Client::new(stream)) {
                self.all.insert(self.next, client);
                self.next += 1;
            }
        }
    }

    /// Replies, unless the asker is gone.
    pub(crate) fn reply(&mut self, to: Asker, answer: Answer, streams: Vec<OwnedFd>) {
        if let Some(client) = self.all.get_mut(&to.client)
            && client.reply(to.request, answer, streams).is_err()
        {
            self.remove(to.client);
        }
    }

    /// Closes a connection.
    pub(crate) fn remove(&mut self, id: u64) {
        self.all.remove(&id);
        self.gone.push(id);
    }

    /// The connections that have closed since this was called last.
    pub(crate) fn take_gone(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.gone)
    }
}

/// Binds a socket in the directory of the job, however long its path is.
pub(crate) fn bind(files: &Files, name: &str) -> io::Result<UnixListener> {
    let directory = File::options().read(true).custom_flags(DIRECTORY).open(&files.directory)?;
    let path = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

const DIRECTORY: i32 = rustix::fs::OFlags::DIRECTORY.bits().cast_signed();
