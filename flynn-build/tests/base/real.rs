use std::sync::Arc;

use flynn_build::base::{BaseSettings, BaseSource, Bases, open};
use flynn_core::{MemoryBlobs, SystemClock};

use crate::world::KINDS;

async fn make() -> (tempfile::TempDir, Bases) {
    let folder = tempfile::tempdir().unwrap();
    let settings = BaseSettings::new(folder.path());
    assert_eq!(settings.run, BaseSource::Debian);
    let clock = Arc::new(SystemClock);
    let (bases, driver) = open(settings, Arc::new(MemoryBlobs::new(clock.clone())), clock).unwrap();
    let handle = bases.clone();
    driver
        .run(async {
            for kind in KINDS {
                let base = bases.wait(kind, drop).await.unwrap();
                assert!(base.versions.get("python").is_some_and(|version| version.starts_with("3.13.")), "{base:?}");
            }
        })
        .await;
    (folder, handle)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes both images twice out of Debian's packages, which takes minutes"]
async fn the_same_packages_give_the_same_bytes() {
    let (_first_folder, first) = make().await;
    let (_second_folder, second) = make().await;
    for kind in KINDS {
        let layers = [&first, &second].map(|bases| match bases.state(kind) {
            flynn_build::base::BaseState::Ready(base) => base.layer,
            other => panic!("{other:?}"),
        });
        assert_eq!(layers[0], layers[1], "{}", kind.as_str());
    }
}
