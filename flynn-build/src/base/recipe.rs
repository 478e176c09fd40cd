use flynn_core::value::Digest;
use sha2::{Digest as _, Sha256};

use super::{BaseKind, MakeError, Mmdebstrap};

/// The first second of Debian 13, 2025-08-09: no file of an image is younger than this, so that its bytes do not
/// depend on when it is made.
const EPOCH: u64 = 1_754_697_600;

/// What the program that makes an image runs in it at the end.
pub(super) const CUSTOMIZE: &str = include_str!("customize.sh");

const RUN: [&str; 9] = [
    "ca-certificates",
    "libpq5",
    "libstdc++6",
    "media-types",
    "netbase",
    "nginx",
    "python-is-python3",
    "python3",
    "tzdata",
];

const BUILD: [&str; 10] = [
    "build-essential",
    "curl",
    "git",
    "libffi-dev",
    "libpq-dev",
    "libssl-dev",
    "pkg-config",
    "python3-dev",
    "python3-pip",
    "python3-venv",
];

/// Nobody reads these in a container. Copyright files are there on behalf of the licences.
const PATHS: [&str; 6] = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
];

/// All that decides what a base image is made of, but for the versions of its packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    kind: BaseKind,
    architecture: &'static str,
    suite: String,
    sources: Vec<String>,
}

impl Recipe {
    /// The recipe of an image for this machine's processor.
    ///
    /// # Errors
    /// `Invalid` on a processor that Debian calls otherwise than Rust and that is not known here.
    pub fn new(kind: BaseKind, settings: &Mmdebstrap) -> Result<Self, MakeError> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => {
                let problem = format!("processors of the kind {other} are not supported: give an archive of the image");
                return Err(MakeError::Invalid { operation: "make base image", problem });
            }
        };
        let Mmdebstrap { suite, mirror, security_mirror, .. } = settings;
        let mut sources = vec![format!("deb {mirror} {suite} main"), format!("deb {mirror} {suite}-updates main")];
        sources.extend(security_mirror.as_ref().map(|mirror| format!("deb {mirror} {suite}-security main")));
        Ok(Self { kind, architecture, suite: suite.clone(), sources })
    }

    /// The packages by name, besides those that every Debian system has. What they recommend does not come along.
    pub fn packages(&self) -> Vec<&'static str> {
        match self.kind {
            BaseKind::Run => RUN.to_vec(),
            BaseKind::Build => RUN.into_iter().chain(BUILD).collect(),
        }
    }

    /// The name of everything in this recipe: suite, mirrors, processor, packages, options and finishing touches.
    pub fn key(&self) -> Digest {
        let mut hash = Sha256::new();
        for part in self.arguments().into_iter().chain(self.sources.iter().cloned()) {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        hash.update(EPOCH.to_le_bytes());
        hash.update(CUSTOMIZE);
        Digest::from_bytes(hash.finalize().into())
    }

    /// The time that no file is younger than, in seconds since 1970.
    pub(super) fn epoch(&self) -> u64 {
        EPOCH
    }

    pub(super) fn suite(&self) -> &str {
        &self.suite
    }

    /// Where packages come from, as a file `sources.list`.
    pub(super) fn sources_list(&self) -> String {
        self.sources.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The options of mmdebstrap that decide what is in the image.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            // Not even apt: nobody in a container of an app may install anything.
            String::from("--variant=essential"),
            format!("--architectures={}", self.architecture),
            format!("--include={}", self.packages().join(",")),
            // Else a package is drawn in that merges /usr and brings all of Perl.
            String::from("--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr"),
            String::from("--skip=output/dev"),
            String::from("--aptopt=Acquire::Languages \"none\""),
            String::from("--dpkgopt=force-unsafe-io"),
        ];
        arguments.extend(PATHS.map(|path| format!("--dpkgopt={path}")));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_names_what_decides_the_content_and_nothing_else() {
        let settings = Mmdebstrap::default();
        let key = |kind, settings: &Mmdebstrap| Recipe::new(kind, settings).unwrap().key();
        let run = key(BaseKind::Run, &settings);
        assert_eq!(run, key(BaseKind::Run, &settings));
        assert_ne!(run, key(BaseKind::Build, &settings));
        let others = [
            Mmdebstrap { suite: "bookworm".into(), ..settings.clone() },
            Mmdebstrap { mirror: "http://mirror.test/debian".into(), ..settings.clone() },
            Mmdebstrap { security_mirror: None, ..settings.clone() },
        ];
        for other in &others {
            assert_ne!(run, key(BaseKind::Run, other), "{other:?}");
        }
        let same = Mmdebstrap {
            certificates: Some("/etc/ca.pem".into()),
            proxy: Some("http://proxy.test:3128".into()),
            limit: std::time::Duration::from_secs(1),
            ..settings
        };
        assert_eq!(run, key(BaseKind::Run, &same));
    }

    #[test]
    fn the_build_image_has_what_the_run_image_has() {
        let settings = Mmdebstrap::default();
        let packages = |kind| Recipe::new(kind, &settings).unwrap().packages();
        let build = packages(BaseKind::Build);
        assert!(packages(BaseKind::Run).iter().all(|package| build.contains(package)));
        assert!(build.contains(&"python3-venv") && !packages(BaseKind::Run).contains(&"python3-venv"));
    }
}
