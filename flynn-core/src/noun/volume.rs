use crate::id::Id;
use crate::name::{PathPrefix, ProcessName, VolumeName};
use crate::noun::{AppId, NodeId, ObjectId};
use crate::rule::{Claim, Footprint, Invalid, NounRules, Usage, check_resources};
use crate::value::Resources;

/// Where every container has files of the kernel or of the platform, which no volume may hide.
const KERNEL_FOLDERS: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// The id of a [`Volume`].
pub type VolumeId = Id<Volume>;

/// A directory of an app that outlives jobs and releases. No collector ever deletes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The app.
    pub app: AppId,
    /// Its name within the app.
    pub name: VolumeName,
    /// The process type that sees it.
    pub process: ProcessName,
    /// Where that process sees it.
    pub path: PathPrefix,
    /// How much it may hold.
    pub bytes: u64,
    /// The node that holds it, once there is one. Jobs that need it run there.
    pub node: Option<NodeId>,
}

/// What is known of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VolumeStatus {
    /// Not made yet.
    #[default]
    Pending,
    /// It is there.
    Ready,
}

impl NounRules for Volume {
    fn validate(&self) -> Result<(), Invalid> {
        if self.path == PathPrefix::root() {
            return Err(Invalid::new("path", "a volume cannot take the place of the whole file system"));
        }
        let inside = |folder: &&&str| {
            self.path.as_str().strip_prefix(**folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some(folder) = KERNEL_FOLDERS.iter().find(inside) {
            let problem = format!("the system keeps its own files in {folder}: choose another folder, such as /data");
            return Err(Invalid::new("path", problem));
        }
        if self.bytes == 0 {
            return Err(Invalid::new("bytes", "a volume needs room: give a size"));
        }
        check_resources("bytes", Resources { disk_bytes: self.bytes, ..Resources::ZERO })?;
        Ok(())
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if (self.app, &self.name) != (next.app, &next.name) {
            return Err(Invalid::new("name", "app and name of a volume are fixed"));
        }
        if self.node.is_some() && self.node != next.node {
            return Err(Invalid::new("node", "a volume that holds data stays on its node"));
        }
        Ok(())
    }

    fn footprint(&self, _: VolumeId, _: &VolumeStatus) -> Footprint {
        let mut references = vec![self.app.into()];
        references.extend(self.node.map(ObjectId::from));
        Footprint {
            app: Some(self.app),
            node: self.node,
            claims: vec![Claim::VolumeName(self.app, self.name.clone())],
            references,
            usage: Usage { volume_bytes: self.bytes, ..Usage::ZERO },
            ..Footprint::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Ids;
    use crate::time::Timestamp;

    #[test]
    fn files_of_the_system_are_not_hidden() {
        let app = Ids::seeded(1).next(Timestamp::EPOCH);
        let at = |path: &str| Volume {
            app,
            name: VolumeName::new("data").unwrap(),
            process: ProcessName::new("web").unwrap(),
            path: PathPrefix::new(path).unwrap(),
            bytes: 1 << 20,
            node: None,
        };
        for bad in ["/", "/proc", "/sys/fs", "/dev/shm", "/run"] {
            let refused = at(bad).validate().unwrap_err();
            assert_eq!(refused.field, "path", "{bad}");
        }
        for good in ["/data", "/process", "/srv/dev", "/developers"] {
            at(good).validate().unwrap();
        }
    }
}
