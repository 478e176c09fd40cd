//! What was built, as it is remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use flynn_core::name::{PathPrefix, ProcessName};
use flynn_core::noun::{HealthCheck, Probe, ProcessType};
use flynn_core::value::Digest;
use serde::{Deserialize, Serialize};

use super::Artifact;

/// An image and all that it consists of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptImage {
    image: Digest,
    /// All blobs without which it is nothing, the manifest included.
    pub(super) blobs: Vec<Digest>,
    processes: BTreeMap<String, KeptProcess>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptProcess {
    command: Vec<String>,
    port: Option<u16>,
    check: Option<KeptCheck>,
    stop_millis: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptCheck {
    /// That of an HTTP probe; none for a TCP probe.
    path: Option<String>,
    interval_millis: u64,
    timeout_millis: u64,
    threshold: u32,
}

impl KeptImage {
    pub(super) fn new(artifact: &Artifact, blobs: Vec<Digest>) -> Self {
        let processes =
            artifact.processes.iter().map(|(name, process)| (name.as_str().to_owned(), keep(process))).collect();
        Self { image: artifact.image, blobs, processes }
    }

    /// What was built; none if this release would not have written it like that.
    pub(super) fn artifact(&self) -> Option<Artifact> {
        let processes = self.processes.iter().map(|(name, kept)| Some((ProcessName::new(name).ok()?, open(kept)?)));
        Some(Artifact { image: self.image, processes: processes.collect::<Option<_>>()?, reused: true })
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn keep(process: &ProcessType) -> KeptProcess {
    let check = process.check.as_ref().map(|check| KeptCheck {
        path: match &check.probe {
            Probe::Tcp => None,
            Probe::Http { path } => Some(path.as_str().to_owned()),
        },
        interval_millis: millis(check.interval),
        timeout_millis: millis(check.timeout),
        threshold: check.threshold,
    });
    KeptProcess {
        command: process.command.clone(),
        port: process.port,
        check,
        stop_millis: millis(process.stop_timeout),
    }
}

fn open(kept: &KeptProcess) -> Option<ProcessType> {
    let check = match &kept.check {
        None => None,
        Some(check) => Some(HealthCheck {
            probe: match &check.path {
                None => Probe::Tcp,
                Some(path) => Probe::Http { path: PathPrefix::new(path).ok()? },
            },
            interval: Duration::from_millis(check.interval_millis),
            timeout: Duration::from_millis(check.timeout_millis),
            threshold: check.threshold,
        }),
    };
    let stop_timeout = Duration::from_millis(kept.stop_millis);
    Some(ProcessType { command: kept.command.clone(), port: kept.port, check, stop_timeout })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let check = |probe| HealthCheck {
            probe,
            interval: Duration::from_millis(1_500),
            timeout: Duration::from_secs(2),
            threshold: 4,
        };
        let http = Probe::Http { path: PathPrefix::new("/up").unwrap() };
        let plain = ProcessType::new(vec!["./x".into(), "y z".into()]);
        let processes = BTreeMap::from([
            (ProcessName::new("plain").unwrap(), plain.clone()),
            (
                ProcessName::new("tcp").unwrap(),
                ProcessType { port: Some(1), check: Some(check(Probe::Tcp)), ..plain.clone() },
            ),
            (ProcessName::new("http").unwrap(), ProcessType { port: Some(2), check: Some(check(http)), ..plain }),
        ]);
        let artifact = Artifact { image: Digest::from_bytes([1; 32]), processes, reused: false };
        let kept = KeptImage::new(&artifact, vec![artifact.image]);
        let read: KeptImage = serde_json::from_slice(&serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(read.artifact().unwrap(), Artifact { reused: true, ..artifact });
        assert_eq!(read.blobs, kept.blobs);
    }
}
