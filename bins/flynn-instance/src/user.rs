use std::fmt;
use std::io;
use std::str::FromStr;

use nix::unistd::{Gid, Uid, getegid, geteuid, setgid, setgroups, setuid};

/// A user of the system to run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    uid: u32,
    gid: u32,
}

/// A text that names no user.
#[derive(Debug, Clone, thiserror::Error)]
#[error("there is no user `{input}` on this machine: create it (`useradd --system {input}`), or name another")]
pub struct UserError {
    input: String,
}

impl FromStr for User {
    type Err = UserError;

    fn from_str(name: &str) -> Result<Self, UserError> {
        let unknown = || UserError { input: name.chars().take(64).collect() };
        let found = nix::unistd::User::from_name(name).ok().flatten().ok_or_else(unknown)?;
        Ok(Self { name: found.name, uid: found.uid.as_raw(), gid: found.gid.as_raw() })
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl User {
    /// The user's number.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The number of the user's first group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Whether this process runs as root.
    pub fn is_root() -> bool {
        geteuid().is_root()
    }

    /// Whether this process runs as this user.
    pub fn is_own(&self) -> bool {
        geteuid().as_raw() == self.uid
    }

    /// Becomes this user for good, with its first group alone and no way to other rights. Call it while the process has
    /// one thread.
    ///
    /// # Errors
    /// The process is not root, or something of root's would be left.
    pub fn become_it(&self) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        setgroups(&[gid])?;
        setgid(gid)?;
        setuid(uid)?;
        let is_gone = setuid(Uid::from_raw(0)).is_err() && geteuid() == uid && getegid() == gid;
        match is_gone || uid.is_root() {
            true => Ok(rustix::thread::set_no_new_privs(true)?),
            false => Err(io::Error::other("the rights of root could not be given up")),
        }
    }
}
