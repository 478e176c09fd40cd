//! Whose programs an image wants to run.

/// The user of an image, once its names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageUser {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl ImageUser {
    /// Finds the numbers for `user`, which is `USER` or `USER:GROUP`, each a number or a name. `passwd` and
    /// `group` are the contents of `/etc/passwd` and `/etc/group` of the image; empty if it has none. A number
    /// without a group is of the group that `passwd` says, else of group 0.
    ///
    /// # Errors
    /// The name that is not there.
    pub fn find(user: &str, passwd: &str, group: &str) -> Result<Self, UnknownUser> {
        let (user, wanted) = match user.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (user, None),
        };
        let unknown = |name: &str| UnknownUser { name: name.to_owned() };
        let known = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let (uid, gid) = (fields.nth(1)?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?);
            (name == user || user.parse() == Ok(uid)).then_some(Self { uid, gid })
        });
        let found = match (known, user.parse()) {
            (Some(found), _) => found,
            (None, Ok(uid)) => Self { uid, gid: 0 },
            (None, Err(_)) => return Err(unknown(user)),
        };
        let Some(wanted) = wanted else {
            return Ok(found);
        };
        let named = group.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == wanted).then(|| fields.nth(1)?.parse::<u32>().ok())?
        });
        let gid = named.or_else(|| wanted.parse().ok()).ok_or_else(|| unknown(wanted))?;
        Ok(Self { gid, ..found })
    }
}

/// A user or group that the image does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the image has no user or group `{}`", .name.escape_debug())]
#[non_exhaustive]
pub struct UnknownUser {
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found() {
        let passwd = "root:x:0:0:root:/:/bin/sh\nbroken\nnode:x:1000:1001::/app:/bin/sh\n";
        let group = "root:x:0:\nstaff:x:50:node\n";
        let check = |user: &str, expect: Option<(u32, u32)>| {
            let found = ImageUser::find(user, passwd, group).ok().map(|found| (found.uid, found.gid));
            assert_eq!(found, expect, "{user}");
        };
        check("node", Some((1000, 1001)));
        check("1000", Some((1000, 1001)));
        check("node:staff", Some((1000, 50)));
        check("5:7", Some((5, 7)));
        check("5", Some((5, 0)));
        check("0", Some((0, 0)));
        check("ghost", None);
        check("node:ghost", None);
        check("-1", None);
    }
}
