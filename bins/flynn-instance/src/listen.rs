use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Why an address cannot be listened on. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {problem}, or give {flag} another address")]
pub struct BindError {
    address: SocketAddr,
    problem: String,
    flag: &'static str,
}

/// Listens on `address`, which was given by the option `flag`.
///
/// # Errors
/// The port is taken, in which case the error names who has it as far as that can be found out; it may not be used by
/// this user; or the machine does not have the address.
pub fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, BindError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        let problem = match error.kind() {
            io::ErrorKind::AddrInUse => match holder(address.port()) {
                Some(holder) => format!("port {} is in use by {holder}: stop it", address.port()),
                None => format!("port {} is in use by another program: stop it", address.port()),
            },
            io::ErrorKind::PermissionDenied => {
                format!("port {} is only for root: start it as root", address.port())
            }
            _ => format!("{error}: check the address"),
        };
        BindError { address, problem, flag }
    })
}

/// The process that listens on a port, in words.
fn holder(port: u16) -> Option<String> {
    let inodes: BTreeSet<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listening(table, port)).collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let is_pid = process.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        if !is_pid {
            continue;
        }
        // Those of other users cannot be looked at, and processes end at any time.
        for open in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let target = fs::read_link(open.path()).unwrap_or_default();
            let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
            if inode.is_some_and(|inode| inodes.contains(inode)) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                return Some(format!("{} (process {})", name.trim(), process.file_name().to_string_lossy()));
            }
        }
    }
    None
}

/// The sockets of a kernel table that listen on a port.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let text = fs::read_to_string(table).unwrap_or_default();
    let inode = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (_, hex) = fields.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(hex, 16) == Ok(port) && *fields.get(3)? == LISTEN;
        matches.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
    };
    text.lines().skip(1).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named_with_the_option() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "--listen").unwrap();
        let address = first.local_addr().unwrap();
        let text = bind(address, "--listen").unwrap_err().to_string();
        let own = format!("(process {})", std::process::id());
        assert!(text.contains(&own) && text.contains(&address.port().to_string()), "{text}");
        assert!(text.contains("give --listen another address"), "{text}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let text = bind(SocketAddr::from(([192, 0, 2, 1], 0)), "--http").unwrap_err().to_string();
        assert!(text.contains("check the address, or give --http"), "{text}");
    }
}
