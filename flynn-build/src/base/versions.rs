//! Which languages a layer has, as its package database says.

use std::collections::BTreeMap;
use std::io;

use flynn_core::port::BlobReader;

use crate::image::layer_file;

const STATUS: &str = "var/lib/dpkg/status";
/// The most bytes of a package database. That of a build image has less than one MiB.
const MOST_BYTES: u64 = 32 << 20;

/// The versions of the languages in a layer; none are known of a layer without a package database.
pub(super) async fn read(layer: BlobReader) -> io::Result<BTreeMap<String, String>> {
    let status = layer_file(layer, STATUS, MOST_BYTES).await?.unwrap_or_default();
    Ok(versions(&String::from_utf8_lossy(&status)))
}

fn versions(status: &str) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for package in status.split("\n\n") {
        let field = |name: &str| package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else { continue };
        let minor = name.strip_prefix("python3.").and_then(|rest| rest.strip_suffix("-minimal"));
        let language = match (name, minor) {
            ("nginx", _) => "nginx",
            (_, Some(minor)) if minor.bytes().all(|byte| byte.is_ascii_digit()) => "python",
            _ => continue,
        };
        // Without the epoch and what Debian added.
        let version = version.split_once(':').map_or(version, |(_, rest)| rest);
        let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
        versions.insert(language.to_owned(), version.to_owned());
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_found_among_packages() {
        let status = "Package: libpython3.11-minimal\nVersion: 3.11.2-6+deb12u6\n\nPackage: python3.11-minimal\n\
            Status: install ok installed\nVersion: 3.11.2-6+deb12u6\nDescription: Package: x\n\n\
            Package: python3-minimal\nVersion: 3.11.2-1+b1\n\nPackage: nginx\nVersion: 1:1.22.1-9\n";
        let expect = [("nginx", "1.22.1"), ("python", "3.11.2")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(versions(status), expect.into());
    }
}
