//! Whenever the writer is killed: what it acknowledged is there, what is there is complete, and what it was
//! writing is gone after the next open.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use blobs_crash::Numbers;
use flynn_core::SystemClock;
use flynn_core::local::DirBlobs;
use flynn_core::port::{Blob, Blobs};
use flynn_core::value::Digest;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;

const ROUNDS: u64 = 40;
/// A round takes about a tenth of a second, and a test at most a minute.
const MOST_ROUNDS: u64 = 300;

type Lengths = BTreeMap<Digest, u64>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_writer_loses_nothing_and_shows_nothing_half() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (mut acknowledged, mut complete, mut abandoned) = (Lengths::new(), Lengths::new(), 0);
    for seed in 0..rounds() {
        acknowledged.extend(write_until_killed(root, seed));
        abandoned += files(&root.join("incoming")).len();
        verify_files(root, &mut complete, seed);
        for blob in &acknowledged {
            assert_eq!(complete.get(blob.0), Some(blob.1), "seed {seed}: {} was acknowledged", blob.0);
        }
        let blobs = DirBlobs::open(root, Arc::new(SystemClock)).await.unwrap();
        assert!(files(&root.join("incoming")).is_empty(), "seed {seed}");
        let listed = blobs.list(None, usize::MAX).await.unwrap();
        assert_eq!(lengths(&listed), complete, "seed {seed}");
    }
    let blobs = DirBlobs::open(root, Arc::new(SystemClock)).await.unwrap();
    for (digest, bytes) in &acknowledged {
        let mut content = Vec::new();
        blobs.open(*digest).await.unwrap().read_to_end(&mut content).await.unwrap();
        assert_eq!(content.len() as u64, *bytes);
    }
    assert!(acknowledged.len() as u64 > rounds(), "{} acknowledged", acknowledged.len());
    assert!(abandoned > 0, "no kill came in the middle of a put");
}

fn rounds() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "the number of seeds is the one thing told to tests by it")]
    let seeds = std::env::var("FLYNN_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    seeds.map_or(ROUNDS, |seeds: u64| seeds.clamp(ROUNDS, MOST_ROUNDS))
}

/// Starts a writer, kills it after some acknowledgements and a moment, and says what it acknowledged.
fn write_until_killed(root: &Path, seed: u64) -> Lengths {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blobs-crash"));
    let mut writer = Writer(command.arg(root).arg(seed.to_string()).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(writer.0.stdout.take().unwrap()).lines();
    let mut numbers = Numbers::new(seed);
    let count = numbers.below(12) as usize;
    let mut acknowledged: Vec<String> = lines.by_ref().take(count).map(Result::unwrap).collect();
    assert_eq!(acknowledged.len(), count, "seed {seed}: the writer ended by itself");
    std::thread::sleep(Duration::from_micros(numbers.below(20_000)));
    writer.0.kill().unwrap();
    writer.0.wait().unwrap();
    acknowledged.extend(lines.map(Result::unwrap));
    acknowledged.iter().map(|line| parse(line)).collect()
}

fn parse(line: &str) -> (Digest, u64) {
    let (digest, bytes) = line.split_once(' ').unwrap();
    (digest.parse().unwrap(), bytes.parse().unwrap())
}

/// Does not outlive the test.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Verifies every file that is visible as a blob and was not in `complete`, and adds it.
fn verify_files(root: &Path, complete: &mut Lengths, seed: u64) {
    let mut there = BTreeSet::new();
    for path in files(&root.join("sha256")).iter().flat_map(|shard| files(shard)) {
        let shard = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let digest: Digest = format!("sha256:{shard}{}", path.file_name().unwrap().to_str().unwrap()).parse().unwrap();
        let bytes = fs::metadata(&path).unwrap().len();
        there.insert(digest);
        if complete.get(&digest) != Some(&bytes) {
            let actual = Digest::from_bytes(Sha256::digest(fs::read(&path).unwrap()).into());
            assert_eq!(actual, digest, "seed {seed}: {bytes} bytes");
            complete.insert(digest, bytes);
        }
    }
    assert_eq!(there.len(), complete.len(), "seed {seed}: a blob is gone");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        // Killed before it made any.
        Err(_) => Vec::new(),
    }
}

fn lengths(blobs: &[Blob]) -> Lengths {
    blobs.iter().map(|blob| (blob.digest, blob.bytes)).collect()
}
