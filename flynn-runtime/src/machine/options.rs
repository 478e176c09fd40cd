use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::network::{Destination, Subnet};

/// Where Debian keeps the certificates of the authorities that it trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What a [`Machine`](super::Machine) is made from.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// Its folder, which is made if it is missing. It is not on an overlay file system, and one process uses it at a
    /// time.
    pub directory: PathBuf,
    /// The program `flynn-shim`.
    pub shim: PathBuf,
    /// What its bridge, packet filter table, control group and containers are called: at most 10 small letters and
    /// digits, which no other machine of this computer has.
    pub name: String,
    /// Where its containers' addresses come from.
    pub subnet: Subnet,
    /// For how long the address of a container that is gone is not given to another. With a router in another process
    /// it covers the time for which that serves an old table.
    pub quarantine: Duration,
    /// Where containers may go although it is not the public Internet.
    pub egress: Vec<Destination>,
    /// A file with the certificates that containers trust; none leaves what their images say.
    pub authorities: Option<PathBuf>,
    /// Whether an image that asks for root gets it. Otherwise its programs run as user 1000.
    pub trusts_root: bool,
}

impl MachineOptions {
    /// A machine in `directory` that starts `shim` for each container. Its name and its addresses, one of 1,024 ranges
    /// of 4,094, follow from the folder; addresses rest for a minute; private networks are closed; containers trust whom this computer trusts; root
    /// is not trusted.
    pub fn new(directory: impl AsRef<Path>, shim: impl Into<PathBuf>) -> Self {
        let directory = directory.as_ref();
        let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let hash: [u8; 32] = Sha256::digest(absolute.as_os_str().as_encoded_bytes()).into();
        let key: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let base = Ipv4Addr::new(10, 64 + hash[4] % 64, hash[5] & 0xf0, 0);
        Self {
            directory: absolute,
            shim: shim.into(),
            name: format!("fm{key}"),
            subnet: Subnet::of_4094(base),
            quarantine: Duration::from_secs(60),
            egress: Vec::new(),
            authorities: Some(PathBuf::from(AUTHORITIES)).filter(|file| file.exists()),
            trusts_root: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_follow_from_the_folder() {
        let options = |path: &str| MachineOptions::new(path, "/flynn-shim");
        assert_ne!(options("/a").name, options("/b").name);
        for number in 0..300 {
            let options = options(&format!("/var/lib/{number}"));
            assert!(options.name.len() == 10, "{}", options.name);
            assert_eq!(options.subnet, options.subnet.to_string().parse().unwrap());
        }
    }
}
