use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// What the things of an instance are called that are not in its data directory.
///
/// Names of network devices are at most ten small letters and digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    key: String,
}

impl Names {
    /// The names of the instance whose data are in `data`, an absolute path.
    pub fn of(data: &Path) -> Self {
        let digest = Sha256::digest(data.as_os_str().as_encoded_bytes());
        let hex: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self { key: hex }
    }

    /// What all of its names have in them and no other instance's have.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The bridge of apps, and the packet filter's table for it.
    pub fn bridge(&self) -> String {
        format!("fl{}", self.key)
    }

    /// The bridge of builds, and the packet filter's table for it.
    pub fn build_bridge(&self) -> String {
        format!("fb{}", self.key)
    }

    /// The mark on containers of apps.
    pub fn owner(&self) -> String {
        format!("{}-jobs", self)
    }

    /// The mark on containers of builds.
    pub fn build_owner(&self) -> String {
        format!("{}-builds", self)
    }

    /// The control group below which the containers of apps are.
    pub fn cgroup(&self) -> String {
        format!("/flynn/{}-jobs", self)
    }

    /// The control group below which the containers of builds are.
    pub fn build_cgroup(&self) -> String {
        format!("/flynn/{}-builds", self)
    }

    /// The addresses of its jobs where nothing else is said: one of 2,032 ranges of 4,094 addresses.
    pub fn subnet(&self) -> String {
        let digest = Sha256::digest(self.key.as_bytes());
        format!("10.{}.{}.0/20", 128 + digest[0] % 127, digest[1] & 0xf0)
    }

    /// The addresses of its builds where nothing else is said: one of 1,024 ranges of 62 addresses.
    pub fn build_subnet(&self) -> String {
        let digest = Sha256::digest(self.key.as_bytes());
        format!("10.255.{}.{}/26", digest[2], digest[3] & 0xc0)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fl{}", self.key)
    }
}

#[cfg(test)]
mod tests {
    use flynn_runtime::cgroup::CgroupParent;
    use flynn_runtime::network::Subnet;

    use super::*;

    #[test]
    fn names_differ_by_directory_and_are_taken_where_they_are_used() {
        assert_ne!(Names::of(Path::new("/a")), Names::of(Path::new("/b")));
        for number in 0..300 {
            let names = Names::of(Path::new(&format!("/var/lib/{number}")));
            for name in [names.bridge(), names.build_bridge()] {
                assert!(name.len() == 10 && name.starts_with('f') && name.contains(names.key()), "{name}");
            }
            names.subnet().parse::<Subnet>().unwrap();
            names.build_subnet().parse::<Subnet>().unwrap();
            names.cgroup().parse::<CgroupParent>().unwrap();
            names.build_cgroup().parse::<CgroupParent>().unwrap();
        }
    }
}
