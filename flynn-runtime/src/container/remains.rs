use std::io;
use std::sync::Arc;

use flynn_core::JobId;

use crate::cgroup::{CgroupParent, Cgroups};
use crate::jobs::Remains;
use crate::shim::{ShimRecord, boot_id};

/// Finds what is left of a container by its control group. Its mounts went with its supervisor and itself.
#[derive(Debug)]
pub(crate) struct Grouped {
    pub(crate) cgroups: Arc<Cgroups>,
    pub(crate) parent: CgroupParent,
}

impl Remains for Grouped {
    fn sweep(&self, job: JobId, record: Option<&ShimRecord>) -> io::Result<()> {
        let init = record.map(|record| (record.init, &record.boot));
        if let Some((Some(init), boot)) = init
            && *boot == boot_id()?
        {
            init.kill()?;
        }
        self.cgroups.destroy(&self.parent.job(job))
    }
}
