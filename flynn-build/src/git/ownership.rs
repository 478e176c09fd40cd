//! Whose the repositories are.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fchown, fstat, open, openat, statat};

use super::GitUser;

/// Gives a folder with all that is in it to a user, unless it is theirs already. It is given last, so that what was
/// begun and broken off is begun again. No link is followed: who had it before may have made some.
pub(super) fn give(folder: &Path, user: GitUser) -> io::Result<()> {
    let folder = open(folder, flags(), Mode::empty())?;
    if is_theirs(&fstat(&folder)?, user) {
        return Ok(());
    }
    give_content(&folder, user)?;
    let (uid, gid) = ids(user);
    Ok(fchown(&folder, uid, gid)?)
}

fn give_content(folder: &OwnedFd, user: GitUser) -> io::Result<()> {
    for entry in Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let at = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(at.st_mode).is_dir() {
            give_content(&openat(folder, name, flags(), Mode::empty())?, user)?;
        }
        if !is_theirs(&at, user) {
            let (uid, gid) = ids(user);
            chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

fn is_theirs(at: &Stat, user: GitUser) -> bool {
    (at.st_uid, at.st_gid) == (user.uid, user.gid)
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn ids(user: GitUser) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn all_of_a_folder_is_given_and_nothing_that_links_in_it_lead_to() {
        // Only root can give away; continuous integration is root.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("all/a.git/objects/00")).unwrap();
        fs::create_dir(at("other")).unwrap();
        for file in ["all/a.git/HEAD", "all/a.git/objects/00/11", "other/file"] {
            fs::write(at(file), "x").unwrap();
        }
        symlink(at("other/file"), at("all/a.git/file")).unwrap();
        symlink(at("other"), at("all/a.git/folder")).unwrap();
        let user = GitUser { uid: 65_534, gid: 65_533 };
        for _ in 0..2 {
            give(&at("all"), user).unwrap();
            let inner = ["", "/a.git", "/a.git/HEAD", "/a.git/objects/00", "/a.git/objects/00/11", "/a.git/file"];
            for name in inner {
                let there = fs::symlink_metadata(at(&format!("all{name}"))).unwrap();
                assert_eq!((there.uid(), there.gid()), (65_534, 65_533), "{name}");
            }
            for name in ["other", "other/file"] {
                assert_eq!(fs::metadata(at(name)).unwrap().uid(), 0, "{name}");
            }
        }
        symlink(at("other"), at("link")).unwrap();
        assert!(give(&at("link"), user).is_err());
    }
}
