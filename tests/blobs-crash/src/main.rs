//! Puts blobs into a directory without end and says on standard output which are acknowledged.

use std::io::{Cursor, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use blobs_crash::{Numbers, content};
use flynn_core::SystemClock;
use flynn_core::local::DirBlobs;
use flynn_core::port::Blobs;
use tokio::task::JoinSet;

const WRITERS: u64 = 4;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().context("the first argument is a directory")?;
    let seed: u64 = arguments.next().context("the second argument is a seed")?.parse()?;
    let blobs = Arc::new(DirBlobs::open(root, Arc::new(SystemClock)).await?);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(blobs.clone(), Numbers::new(seed * WRITERS + writer)));
    }
    writers.join_next().await.context("there are no writers")??
}

async fn write(blobs: Arc<DirBlobs>, mut numbers: Numbers) -> Result<()> {
    let mut last = numbers.draw();
    loop {
        // Now and then the same again, which renews it.
        if numbers.below(5) > 0 {
            last = numbers.draw();
        }
        let blob = blobs.put(Box::new(Cursor::new(content(last))), None).await?;
        let line = format!("{} {}\n", blob.digest, blob.bytes);
        std::io::stdout().write_all(line.as_bytes())?;
    }
}
