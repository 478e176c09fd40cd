use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use flynn_core::JobId;

/// A group of our own below which every job has one, such as `/flynn/node-1`. It is never the root, and it
/// names no other place than it seems to.
///
/// ```
/// use flynn_runtime::cgroup::CgroupParent;
///
/// let parent: CgroupParent = "/flynn/node-1".parse()?;
/// assert_eq!(parent.to_string(), "/flynn/node-1");
/// assert!("/".parse::<CgroupParent>().is_err());
/// # Ok::<(), flynn_runtime::cgroup::CgroupPathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupParent(String);

/// The group of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPath {
    parent: CgroupParent,
    job: JobId,
}

/// A text that is no path of a group of our own.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a control group of ours: expected `/` and names of letters, digits, `_`, `-` and `.`, such as /flynn/a")]
#[non_exhaustive]
pub struct CgroupPathError;

impl CgroupParent {
    /// The group of a job.
    pub fn job(&self, job: JobId) -> CgroupPath {
        CgroupPath { parent: self.clone(), job }
    }

    /// Its path below the root of a hierarchy, without the leading slash.
    pub fn relative(&self) -> &Path {
        Path::new(self.0.trim_start_matches('/'))
    }
}

impl CgroupPath {
    /// Reads the path of a job's group.
    ///
    /// # Errors
    /// It is not the group of this job below a parent of ours.
    pub fn of_job(path: &Path, job: JobId) -> Result<Self, CgroupPathError> {
        let text = path.to_str().ok_or(CgroupPathError)?;
        let (parent, name) = text.rsplit_once('/').ok_or(CgroupPathError)?;
        if name != job.to_string() {
            return Err(CgroupPathError);
        }
        Ok(parent.parse::<CgroupParent>()?.job(job))
    }

    /// Its path below the root of a hierarchy, without the leading slash.
    pub fn relative(&self) -> PathBuf {
        self.parent.relative().join(self.job.to_string())
    }
}

impl FromStr for CgroupParent {
    type Err = CgroupPathError;

    fn from_str(path: &str) -> Result<Self, CgroupPathError> {
        let names = path.strip_prefix('/').ok_or(CgroupPathError)?.split('/');
        let is_name = |name: &str| {
            !matches!(name, "" | "." | "..")
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        if path.len() > 255 || !names.clone().all(is_name) {
            return Err(CgroupPathError);
        }
        Ok(Self(path.to_owned()))
    }
}

impl fmt::Display for CgroupParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.parent, self.job)
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::{Ids, Timestamp};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_root_and_what_leads_to_it_are_refused() {
        for bad in ["", "/", "//", "/a/", "a", "a/b", "/..", "/a/..", "/a/../b", "/.", "/a//b", "/a b", "/a\n", "/ü"] {
            assert!(bad.parse::<CgroupParent>().is_err(), "{bad:?}");
        }
        for good in ["/flynn", "/flynn/node-1_x.y", "/...", "/a/b/c"] {
            assert_eq!(good.parse::<CgroupParent>().unwrap().to_string(), good);
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_the_root(text in "[/.a-c_ -]{0,12}") {
            if let Ok(parent) = text.parse::<CgroupParent>() {
                let mut ids = Ids::seeded(1);
                let job = ids.next(Timestamp::EPOCH);
                let path = parent.job(job);
                let plain = path.relative().components().all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(plain && path.relative().components().count() >= 2);
                prop_assert_eq!(&CgroupPath::of_job(Path::new(&path.to_string()), job).unwrap(), &path);
                prop_assert!(CgroupPath::of_job(Path::new(&path.to_string()), ids.next(Timestamp::EPOCH)).is_err());
            }
        }
    }
}
