use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

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
            io::ErrorKind::AddrInUse => match holder(address) {
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

/// The process that listens where nobody else can listen on `address` then, in words.
fn holder(address: SocketAddr) -> Option<String> {
    let inodes: BTreeSet<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listening(table, address)).collect();
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

/// The sockets of a kernel table that listen on the port of `address`, and on its host or on all.
fn listening(table: &str, address: SocketAddr) -> Vec<String> {
    const LISTEN: &str = "0A";
    let text = fs::read_to_string(table).unwrap_or_default();
    let inode = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (host, port) = fields.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(port, 16) == Ok(address.port()) && *fields.get(3)? == LISTEN;
        let collides = matches && collide(parse_host(host)?, address.ip());
        collides.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
    };
    text.lines().skip(1).filter_map(inode).collect()
}

fn collide(one: IpAddr, other: IpAddr) -> bool {
    one.is_unspecified() || other.is_unspecified() || one.to_canonical() == other.to_canonical()
}

/// An address as the kernel's tables write it: words of 32 bits in hexadecimal, each with the machine's order of bytes.
fn parse_host(hex: &str) -> Option<IpAddr> {
    let word = |start: usize| Some(u32::from_str_radix(hex.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    if hex.len() == 8 {
        return Some(IpAddr::from(word(0)?));
    }
    let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
    Some(IpAddr::from(<[u8; 16]>::try_from(words).ok()?))
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
    fn who_listens_on_the_same_port_of_another_address_is_not_taken_for_the_holder() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "--listen").unwrap();
        let address = first.local_addr().unwrap();
        assert!(holder(address).is_some());
        assert!(holder(SocketAddr::from(([0, 0, 0, 0], address.port()))).is_some());
        assert_eq!(holder(SocketAddr::from(([127, 0, 0, 2], address.port()))), None);
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let text = bind(SocketAddr::from(([192, 0, 2, 1], 0)), "--http").unwrap_err().to_string();
        assert!(text.contains("check the address, or give --http"), "{text}");
    }
}
