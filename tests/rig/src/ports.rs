use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rustix::fs::{FlockOperation, flock};

/// Below the ports that the kernel gives to connections, so that none of these is ever in use by chance.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port of the loopback that is free, and that no other rig of this machine gets while this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: File,
}

impl Port {
    /// Takes one.
    ///
    /// # Panics
    /// None is free.
    pub fn claim() -> Self {
        let folder = std::env::temp_dir().join("flynn-rig-ports");
        fs::create_dir_all(&folder).unwrap();
        let first = RANGE.start + (std::process::id() % 1_000) as u16 * 12;
        let candidates = (first..RANGE.end).chain(RANGE.start..first);
        for number in candidates {
            let claim = File::create(folder.join(number.to_string())).unwrap();
            let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
            if flock(&claim, FlockOperation::NonBlockingLockExclusive).is_ok() && free() {
                return Self { number, _claim: claim };
            }
        }
        panic!("no port of {RANGE:?} is free");
    }

    /// It, on the loopback.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}
