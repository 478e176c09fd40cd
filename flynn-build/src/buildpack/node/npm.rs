//! The installer.

/// A version of npm, by the hash that its registry states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Npm {
    pub(super) version: &'static str,
    pub(super) integrity: &'static str,
}

/// For Node.js 18.17 and later.
const OLD: Npm = Npm {
    version: "10.9.9",
    integrity: "sha512-1g+6jLQvaIuB4zwvHL7yrXuXcWZwDsCtBX8bbWDqbvJSSr9nPiDDWTHNgwXR27iIcTTW7v3A57hDW9RYv2W4Yg==",
};
/// For Node.js 22.9 and later; the one that Node.js 24 comes with.
const RECENT: Npm = Npm {
    version: "11.21.2",
    integrity: "sha512-7HPApk+AflMUavSseL1Pm6CnYqMIHk53x+KmuhqmTDqPkjPMgxIpTPcTqsE91EKNw4gFBJV9fnXiSdGm1DXq9A==",
};

/// All versions in use, for keys.
pub(super) const VERSIONS: &str = "npm 10.9.9 and 11.21.2";

/// The npm for a version of Node.js.
pub(super) fn for_node(version: &str) -> Npm {
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0_u32);
    if major >= 24 { RECENT } else { OLD }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_versions_get_the_recent_npm() {
        assert_eq!(for_node("22.23.3"), OLD);
        assert_eq!(for_node("24.0.0"), RECENT);
        assert_eq!(for_node("26.1.0"), RECENT);
        assert!([OLD, RECENT].iter().all(|npm| VERSIONS.contains(npm.version)));
    }
}
