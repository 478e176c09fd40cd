use std::collections::BTreeMap;

use crate::id::Id;
use crate::name::ProcessName;
use crate::noun::release::check_processes;
use crate::noun::{AppId, Placement};
use crate::rule::{Claim, Footprint, Invalid, NounRules, Usage, check_resources};
use crate::value::Resources;

/// The id of a [`Formation`].
pub type FormationId = Id<Formation>;

/// How many instances of each process type an app wants, how large they are, and where they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formation {
    /// The app. It has one formation.
    pub app: AppId,
    /// The wish for each process type. A type that is not listed has no instance.
    pub processes: BTreeMap<ProcessName, Scale>,
}

/// Count and size of the instances of one process type, and where they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// How many instances.
    pub count: u32,
    /// What each asks for, and may not exceed.
    pub resources: Resources,
    /// Which nodes they may be on.
    pub placement: Placement,
}

impl Scale {
    /// So many instances of this size, on any node.
    pub const fn of(count: u32, resources: Resources) -> Self {
        Self { count, resources, placement: Placement::ANY }
    }

    /// The most instances of one process type.
    pub const MOST: u32 = 10_000;

    /// What an instance asks for where nobody said anything else: 512 MiB of memory, 1 GiB of disk, 512
    /// processes. It reserves no processor time and is refused none: instances share what there is, since most
    /// rest most of the time, and a small machine would be full of reservations that nobody uses.
    pub const RESOURCES: Resources =
        Resources { cpu_millis: 0, memory_bytes: 512 << 20, disk_bytes: 1 << 30, pids: 512 };
}

impl Formation {
    /// Instances of one process type, each of the usual size.
    pub fn of(app: AppId, process: ProcessName, count: u32) -> Self {
        Self { app, processes: [(process, Scale::of(count, Scale::RESOURCES))].into() }
    }

    fn total(&self) -> Usage {
        self.processes.values().fold(Usage::ZERO, |usage, scale| {
            let count = u64::from(scale.count);
            usage.plus(Usage { instances: count, resources: scale.resources.times(count), ..Usage::ZERO })
        })
    }
}

impl NounRules for Formation {
    fn validate(&self) -> Result<(), Invalid> {
        check_processes("processes", &self.processes)?;
        for (name, scale) in &self.processes {
            scale.placement.validate(&format!("processes.{name}.placement"))?;
        }
        match self.processes.iter().find(|(_, scale)| scale.count > Scale::MOST) {
            Some((name, scale)) => Err(Invalid::new(
                format!("processes.{name}.count"),
                format!("{} is more than the {} instances allowed", scale.count, Scale::MOST),
            )),
            None => check_resources("processes", self.total().resources),
        }
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.app != next.app {
            return Err(Invalid::new("app", "a formation stays with its app"));
        }
        Ok(())
    }

    fn footprint(&self, _: FormationId, (): &()) -> Footprint {
        Footprint {
            app: Some(self.app),
            claims: vec![Claim::Formation(self.app)],
            references: vec![self.app.into()],
            usage: self.total(),
            ..Footprint::default()
        }
    }
}
