use std::path::PathBuf;

/// A program of the workspace, built with the same profile as the caller.
///
/// # Panics
/// It was not built.
pub fn program(name: &str) -> PathBuf {
    let path = target().join(name);
    assert!(path.exists(), "{} is not there: run cargo build --workspace --bins first", path.display());
    path
}

/// The archives of the base images, which `flynn-bases` makes: run, then build.
///
/// # Panics
/// They were not made.
pub fn bases() -> [PathBuf; 2] {
    ["run", "build"].map(|kind| {
        let path = bases_folder().join(format!("{kind}.tar"));
        assert!(
            path.exists(),
            "{} is not there: run cargo run --package flynn-rig --bin flynn-bases first",
            path.display()
        );
        path
    })
}

/// Where the archives of the base images are, the same for all profiles.
pub fn bases_folder() -> PathBuf {
    target().parent().unwrap().join("bases")
}

/// The folder of the profile: tests are below it, programs in it.
fn target() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().unwrap();
    if folder.ends_with("deps") { folder.parent().unwrap().to_owned() } else { folder.to_owned() }
}
