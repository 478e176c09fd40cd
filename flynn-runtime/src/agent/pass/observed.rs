use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use flynn_core::disk::OverLimit;
use flynn_core::noun::{Health, NodeStatus};
use flynn_core::port::{ContainerState, Signal};
use flynn_core::{JobId, Timestamp};

/// What an agent knows beside the objects of its store.
///
/// The containers, and what is kept for jobs, are read anew for each pass. The rest is remembered, and all of
/// it may be forgotten at any time: then some waiting begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The node as it is to be known: its liveness is ignored.
    pub node: NodeStatus,
    /// What the runtime lists.
    pub containers: BTreeMap<JobId, ContainerState>,
    /// What the workplace keeps.
    pub kept: BTreeMap<JobId, Kept>,
    /// The jobs for which an operation runs. Nothing else is done with them in the meantime.
    pub busy: BTreeSet<JobId>,
    /// Those of them that are being prepared.
    pub preparing: BTreeSet<JobId>,
    /// What is remembered of each job.
    pub memories: BTreeMap<JobId, Memory>,
}

/// What a workplace keeps for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// The address that the node reaches it at, once it has one.
    pub host: Option<IpAddr>,
    /// The port it was given, where that is not the one that its process type names.
    pub port: Option<u16>,
}

impl Kept {
    /// Where a process that listens on `port` in its container is reached.
    pub fn address(&self, port: u16) -> Option<SocketAddr> {
        self.host.map(|host| SocketAddr::new(host, self.port.unwrap_or(port)))
    }
}

/// What is remembered of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// When this agent first saw its container.
    pub seen: Option<Timestamp>,
    /// What its probes say.
    pub health: Option<Health>,
    /// Whoever attached to it as to a terminal.
    pub visit: Visit,
    /// How far its end has come.
    pub ending: Option<Ending>,
    /// What went wrong with it last.
    pub trouble: Option<Trouble>,
    /// That it wrote more than it may, once that was found.
    pub over: Option<OverLimit>,
}

/// Whether somebody is at the terminal or the pipes of an attached one-off job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visit {
    /// Nobody was there yet, as far as is remembered.
    #[default]
    None,
    /// Somebody is.
    Here,
    /// All have hung up.
    Gone,
}

/// How far the end of a running job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// When it began.
    pub began: Timestamp,
    /// The last signal that was sent.
    pub sent: Signal,
}

/// An operation on a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Why, in words for the app's developer.
    pub reason: String,
    /// Whether it would fail again however often it were tried.
    pub is_lasting: bool,
    /// When it failed first.
    pub since: Timestamp,
    /// How often it has failed in a row.
    pub times: u32,
    /// It is not tried again before.
    pub again: Timestamp,
}

impl Trouble {
    const FIRST_WAIT: Duration = Duration::from_millis(100);
    const LONGEST_WAIT: Duration = Duration::from_secs(10);

    /// The trouble after one more failure at `now`.
    pub fn after(before: Option<&Self>, reason: String, is_lasting: bool, now: Timestamp) -> Self {
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        let wait = Self::FIRST_WAIT * 2_u32.saturating_pow(times.min(16) - 1);
        Self {
            reason,
            is_lasting,
            since: before.map_or(now, |before| before.since),
            times,
            again: now + wait.min(Self::LONGEST_WAIT),
        }
    }
}
