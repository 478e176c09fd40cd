//! Files of a container by which it finds names and trusts servers.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use flynn_core::port::{Mount, MountSource};

/// As many servers as C libraries ask.
const MOST_SERVERS: usize = 3;

/// Whom to ask for names: the content of an `/etc/resolv.conf`.
///
/// ```
/// use flynn_runtime::Resolvers;
///
/// let node: Resolvers = "nameserver 127.0.0.53\nnameserver 192.0.2.1\noptions edns0".parse().unwrap();
/// assert_eq!(node.to_string(), "nameserver 192.0.2.1\noptions edns0\n");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolvers {
    /// The servers, the preferred one first. No more than three are asked.
    pub servers: Vec<Ipv4Addr>,
    /// Domains in which a short name is looked for.
    pub search: Vec<String>,
    /// Options as they are written in the file, such as `ndots:2`.
    pub options: Vec<String>,
}

impl Resolvers {
    /// Those of the node: of the first of `files` that names a server which containers can reach. Where the
    /// node runs a server of its own on loopback, another file may name the ones behind it, such as
    /// `/run/systemd/resolve/resolv.conf`. A file that is missing is passed over; with no server in any, the
    /// result has none. It blocks.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of_node(files: &[&Path]) -> io::Result<Self> {
        let mut last = Self::default();
        for file in files {
            match fs::read_to_string(file) {
                Ok(text) => {
                    last = text.parse().unwrap_or_default();
                    if !last.servers.is_empty() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }
}

impl FromStr for Resolvers {
    type Err = std::convert::Infallible;

    /// Reads a `resolv.conf`. What is not known is passed over, as C libraries do, and so are servers that
    /// containers cannot reach: those on loopback, at link-local addresses, and over IPv6.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut found = Self::default();
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next();
            let rest = words.map(str::to_owned);
            match keyword {
                Some("nameserver") => {
                    let servers = rest.take(1).filter_map(|word| match word.parse().ok()? {
                        IpAddr::V4(address) => Some(address),
                        IpAddr::V6(address) => address.to_ipv4_mapped(),
                    });
                    found.servers.extend(servers.filter(|server| reachable(*server)));
                }
                // The last of these lines counts.
                Some("search" | "domain") => found.search = rest.collect(),
                Some("options") => found.options.extend(rest),
                _ => {}
            }
        }
        Ok(found)
    }
}

fn reachable(server: Ipv4Addr) -> bool {
    !(server.is_loopback() || server.is_link_local() || server.is_unspecified())
}

impl fmt::Display for Resolvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for server in self.servers.iter().take(MOST_SERVERS) {
            writeln!(f, "nameserver {server}")?;
        }
        for (keyword, words) in [("search", &self.search), ("options", &self.options)] {
            if !words.is_empty() {
                writeln!(f, "{keyword} {}", words.join(" "))?;
            }
        }
        Ok(())
    }
}

/// What the files of a container say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFiles {
    /// Its host name, which is `/etc/hostname` and leads to its address in `/etc/hosts`.
    pub hostname: String,
    /// Its address; none for a container without a network.
    pub address: Option<Ipv4Addr>,
    /// Further lines of `/etc/hosts`.
    pub hosts: Vec<(IpAddr, String)>,
    /// `/etc/resolv.conf`; none leaves the image's own.
    pub resolvers: Option<Resolvers>,
    /// A file of the node with the certificates of authorities, which takes the place of
    /// `/etc/ssl/certs/ca-certificates.crt`; none leaves the image's own.
    pub authorities: Option<PathBuf>,
}

impl ContainerFiles {
    /// Writes the files to `directory`, which is made if it is missing, and says how to mount them: each over
    /// its place in `/etc`, read-only. What was there is replaced. The directory has to stay for as long as the
    /// container. It blocks.
    ///
    /// # Errors
    /// Something cannot be written, or a name has a character that would begin another line.
    pub fn write(&self, directory: &Path) -> io::Result<Vec<Mount>> {
        let resolvers = self.resolvers.as_ref().map(|resolvers| {
            resolvers.search.iter().chain(&resolvers.options).try_for_each(|word| plain(word))?;
            Ok::<_, io::Error>(resolvers.to_string())
        });
        let files = [
            ("hostname", Some(self.hostname()?)),
            ("hosts", Some(self.hosts()?)),
            ("resolv.conf", resolvers.transpose()?),
        ];
        fs::create_dir_all(directory)?;
        let mut mounts = Vec::new();
        for (name, text) in files {
            let path = directory.join(name);
            if let Some(text) = text {
                let mut file = File::create(&path)?;
                file.write_all(text.as_bytes())?;
                // Whatever mode new files have here, everybody in the container reads these.
                file.set_permissions(fs::Permissions::from_mode(0o644))?;
                mounts.push(Mount {
                    source: MountSource::Bind(path),
                    target: Path::new("/etc").join(name),
                    read_only: true,
                });
            }
        }
        if let Some(authorities) = &self.authorities {
            let source = MountSource::Bind(authorities.clone());
            mounts.push(Mount { source, target: "/etc/ssl/certs/ca-certificates.crt".into(), read_only: true });
        }
        Ok(mounts)
    }

    fn hostname(&self) -> io::Result<String> {
        plain(&self.hostname)?;
        Ok(format!("{}\n", self.hostname))
    }

    fn hosts(&self) -> io::Result<String> {
        let mut text = "127.0.0.1 localhost\n".to_owned();
        let own = self.address.unwrap_or(Ipv4Addr::LOCALHOST);
        for (address, name) in
            [(IpAddr::V4(own), &self.hostname)].into_iter().chain(self.hosts.iter().map(|(a, n)| (*a, n)))
        {
            plain(name)?;
            text.push_str(&format!("{address} {name}\n"));
        }
        Ok(text)
    }
}

/// Refuses what would be more than one word of a file.
fn plain(word: &str) -> io::Result<()> {
    if word.is_empty()
        || word.chars().any(|character| character.is_whitespace() || character.is_control() || character == '#')
    {
        let problem = format!("`{}` is not one word", word.escape_debug());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_that_containers_reach_are_kept() {
        let text = "# comment\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver 169.254.169.253\n\
            nameserver 10.0.0.2 \nnameserver\t::ffff:192.0.2.3\nnameserver 2001:db8::1\nsearch a.example\n\
            search b.example c.example\noptions edns0 trust-ad\noptions ndots:2\nsortlist 1.2.3.4\nnameserver\n";
        let found: Resolvers = text.parse().unwrap();
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let expected = Resolvers {
            servers: vec![[10, 0, 0, 2].into(), [192, 0, 2, 3].into()],
            search: words(&["b.example", "c.example"]),
            options: words(&["edns0", "trust-ad", "ndots:2"]),
        };
        assert_eq!(found, expected);
        assert_eq!(found.to_string().parse::<Resolvers>().unwrap(), found);
    }

    #[test]
    fn the_first_file_with_a_server_counts() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let missing = directory.path().join("missing");
        let (stub, real) = (file("stub", "nameserver 127.0.0.53\n"), file("real", "nameserver 192.0.2.7\n"));
        let found = Resolvers::of_node(&[&missing, &stub, &real]).unwrap();
        assert_eq!(found.servers, [Ipv4Addr::new(192, 0, 2, 7)]);
        assert_eq!(Resolvers::of_node(&[&stub]).unwrap().servers, [Ipv4Addr::LOCALHOST; 0]);
    }

    #[test]
    fn files_are_written_and_mounted_read_only() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("own");
        let files = ContainerFiles {
            hostname: "web-1".into(),
            address: Some([10, 0, 0, 9].into()),
            hosts: vec![([192, 0, 2, 1].into(), "db".into())],
            resolvers: Some("nameserver 192.0.2.53".parse().unwrap()),
            authorities: Some("/etc/ssl/certs/ca-certificates.crt".into()),
        };
        let mounts = files.write(&own).unwrap();
        assert_eq!(files.write(&own).unwrap(), mounts);
        assert!(mounts.iter().all(|mount| mount.read_only));
        let targets: Vec<_> = mounts.iter().map(|mount| mount.target.to_str().unwrap()).collect();
        let etc = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"];
        assert_eq!(targets, etc);
        let hosts = fs::read_to_string(own.join("hosts")).unwrap();
        assert_eq!(hosts, "127.0.0.1 localhost\n10.0.0.9 web-1\n192.0.2.1 db\n");
        assert_eq!(fs::metadata(own.join("hosts")).unwrap().permissions().mode() & 0o777, 0o644);

        let bare = ContainerFiles { resolvers: None, authorities: None, ..files.clone() };
        assert_eq!(bare.write(&directory.path().join("bare")).unwrap().len(), 2);
        for hostname in ["", "a b", "a\n127.0.0.1 evil", "a#"] {
            let bad = ContainerFiles { hostname: hostname.into(), ..files.clone() };
            assert_eq!(bad.write(&own).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{hostname}");
        }
    }
}
