use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Measures what this thread uses of a processor, so that other programs on the machine hardly matter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Duration);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(used())
    }

    pub(crate) fn elapsed(self) -> Duration {
        used().saturating_sub(self.0)
    }
}

fn used() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let nanos = time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec);
    Duration::from_nanos(nanos.unsigned_abs())
}

/// Measures time as it passes, for what waits for disks and other threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wall(Duration);

impl Wall {
    pub(crate) fn start() -> Self {
        Self(read(ClockId::Monotonic))
    }

    pub(crate) fn elapsed(self) -> Duration {
        read(ClockId::Monotonic).saturating_sub(self.0)
    }
}
