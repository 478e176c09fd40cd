//! What the user of git needs to reach.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flynn_instance::{Layout, User};

use crate::claim::make_folder;

/// The program that is git's hook: this one, or a copy of it in the folder of hooks if `user` cannot reach this one.
///
/// # Errors
/// The repositories are where `user` cannot reach them.
pub(crate) fn hook_program(layout: &Layout, user: Option<&User>) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("it cannot be found out where this program is")?;
    let Some(user) = user.filter(|user| !user.is_own()) else { return Ok(program) };
    let ids = (user.uid(), user.gid());
    for path in [layout.repositories(), layout.git()] {
        if let Some(obstacle) = obstacle(path.parent().unwrap_or(&path), ids)? {
            bail!(
                "git runs as the user {user}, who cannot pass through {obstacle}: allow it with `chmod o+x`, give \
                 --data-dir and --run-dir another folder, or --git-user another user",
                obstacle = obstacle.display()
            );
        }
    }
    if obstacle(&program, ids)?.is_none() {
        return Ok(program);
    }
    make_folder(&layout.hooks(), 0o755)?;
    let reachable = layout.hooks().join("git-hook");
    copy(&program, &reachable).with_context(|| format!("{} cannot be written", reachable.display()))?;
    Ok(reachable)
}

/// What a user cannot pass through, or run, on the way to `path`. What is not there yet is no obstacle.
fn obstacle(path: &Path, (uid, gid): (u32, u32)) -> io::Result<Option<PathBuf>> {
    if uid == 0 {
        return Ok(None);
    }
    for place in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
        let there = match fs::metadata(place) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let execute = match (there.uid() == uid, there.gid() == gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        if there.mode() & execute == 0 {
            return Ok(Some(place.to_owned()));
        }
    }
    Ok(None)
}

/// Copies a program unless that was done. One that runs cannot be written to, but replaced.
fn copy(program: &Path, to: &Path) -> io::Result<()> {
    let source = fs::metadata(program)?;
    // A full disk has no room for what is there already.
    if fs::metadata(to).is_ok_and(|there| there.len() == source.len() && there.mtime() >= source.mtime()) {
        return Ok(());
    }
    let fresh = to.with_extension("fresh");
    fs::copy(program, &fresh)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o755))?;
    fs::rename(&fresh, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_folder_on_the_way_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let own = fs::metadata(folder.path()).unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("program");
        fs::write(&file, "x").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let (stranger, owner) = ((own.uid() + 4_321, own.gid() + 4_321), (own.uid() + 1, own.gid()));
        mode(folder.path(), 0o700);
        mode(&inner, 0o755);
        mode(&file, 0o755);
        assert_eq!(obstacle(&file, stranger).unwrap().as_deref(), Some(folder.path()));
        mode(folder.path(), 0o711);
        assert_eq!(obstacle(&file, stranger).unwrap(), None);
        assert_eq!(obstacle(&inner.join("later/more"), stranger).unwrap(), None);
        mode(&file, 0o710);
        assert_eq!(obstacle(&file, stranger).unwrap(), Some(file.clone()));
        assert_eq!(obstacle(&file, owner).unwrap(), None, "the group may");
        assert_eq!(obstacle(&file, (0, 0)).unwrap(), None);
        copy(&file, &inner.join("copy")).unwrap();
        assert_eq!(fs::metadata(inner.join("copy")).unwrap().mode() & 0o777, 0o755);
    }
}
