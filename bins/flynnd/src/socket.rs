use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context, ensure};
use flynn_instance::User;

/// Listens on a socket that this user and, with its token, `router` can open.
pub(crate) fn bind(path: &Path, router: Option<&User>) -> anyhow::Result<UnixListener> {
    ensure!(
        UnixStream::connect(path).is_err(),
        "another flynnd listens on {}: give --run-dir another folder",
        path.display()
    );
    let bound = remove(path).and_then(|()| {
        let listener = UnixListener::bind(path)?;
        let mode = if router.is_some() { 0o660 } else { 0o600 };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        if let Some(router) = router {
            chown(path, None, Some(router.gid()))?;
        }
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.with_context(|| format!("cannot listen on {}", path.display()))
}

/// Removes a file that need not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
