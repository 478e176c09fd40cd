//! Makes the base images once for all tests of a checkout: archives below the target directory.
//!
//! They are made again after a week, like those of an operator, and when what they are made of is another.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a developer's program")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use flynn_build::base::{self, BaseImages, BaseKind, BaseSettings, Mmdebstrap, Recipe};
use flynn_core::SystemClock;
use flynn_core::local::DirBlobs;
use flynn_core::port::Blobs;
use flynn_core::value::Digest;
use rustix::fs::{FlockOperation, flock};

const FRESH: Duration = Duration::from_secs(7 * 24 * 3_600);
const KINDS: [BaseKind; 2] = [BaseKind::Run, BaseKind::Build];

#[tokio::main]
async fn main() -> Result<()> {
    let folder = flynn_rig::bases_folder();
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let lock = File::create(folder.join("lock")).context("locking the folder of base images")?;
    flock(&lock, FlockOperation::LockExclusive).context("locking the folder of base images")?;
    let recipes = recipes()?;
    let noted = folder.join("recipes");
    let same = fs::read_to_string(&noted).is_ok_and(|noted| noted == recipes);
    if same && KINDS.iter().all(|kind| is_fresh(&archive(&folder, *kind))) {
        return Ok(());
    }
    let work = folder.join("work");
    let made = make(&folder, &work).await;
    fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))?;
    made?;
    fs::write(&noted, recipes).with_context(|| format!("writing {}", noted.display()))
}

/// The names of all that the images are made of.
fn recipes() -> Result<String> {
    let keys = KINDS.map(|kind| Ok(Recipe::new(kind, &Mmdebstrap::default())?.key().to_string()));
    Ok(keys.into_iter().collect::<Result<Vec<_>>>()?.join("\n"))
}

fn archive(folder: &Path, kind: BaseKind) -> PathBuf {
    folder.join(format!("{}.tar", kind.as_str()))
}

fn is_fresh(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|found| found.modified()).map(|made| SystemTime::now().duration_since(made));
    matches!(age, Ok(Ok(age)) if age < FRESH)
}

async fn make(folder: &Path, work: &Path) -> Result<()> {
    let clock = Arc::new(SystemClock);
    let blobs: Arc<dyn Blobs> = Arc::new(DirBlobs::open(work.join("blobs"), clock.clone()).await?);
    let (bases, driver) = base::open(BaseSettings::new(work.join("base")), blobs.clone(), clock)?;
    let making = async {
        for kind in KINDS {
            println!("making the {} base image", kind.as_str());
            let layers = bases.ensure(kind).await?.layers;
            let [layer] = layers.as_slice() else {
                anyhow::bail!("the {} base image has {} layers and not one", kind.as_str(), layers.len());
            };
            export(blobs.as_ref(), *layer, &archive(folder, kind)).await?;
        }
        Ok(())
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let making = async {
        let made = making.await;
        drop(stop);
        made
    };
    let stopped = async {
        let _ = stopped.await;
    };
    let (made, ()) = tokio::join!(making, driver.run(stopped));
    made
}

async fn export(blobs: &dyn Blobs, layer: Digest, to: &Path) -> Result<()> {
    let fresh = to.with_extension("fresh");
    let mut file = tokio::fs::File::create(&fresh).await?;
    tokio::io::copy(&mut blobs.open(layer).await?, &mut file).await?;
    file.sync_all().await?;
    fs::rename(&fresh, to).with_context(|| format!("writing {}", to.display()))
}
