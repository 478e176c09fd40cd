use std::fmt;

/// The most GPUs of one node.
pub const MOST_GPUS: usize = 16;

/// A whole GPU, in the unit in which GPUs are shared out.
pub const WHOLE_GPU: u16 = 1_000;

/// How many GPUs are asked for, and how much of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GpuRequest {
    /// Devices. No two parts of one request share a device.
    pub count: u16,
    /// Thousandths of each device, at most [`WHOLE_GPU`].
    pub millis: u16,
}

/// The GPUs of a node, each with its free thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Gpus {
    count: u8,
    free: [u16; MOST_GPUS],
}

/// Some of the GPUs of a node, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Devices(u16);

impl GpuRequest {
    /// No GPU.
    pub const NONE: Self = Self { count: 0, millis: 0 };

    /// `count` GPUs for nobody else.
    pub const fn whole(count: u16) -> Self {
        Self { count, millis: WHOLE_GPU }
    }

    /// So many thousandths of one GPU.
    pub const fn shared(millis: u16) -> Self {
        Self { count: 1, millis }
    }

    /// Whether no GPU is asked for.
    pub const fn is_none(self) -> bool {
        self.count == 0 || self.millis == 0
    }

    /// Whether a part of one GPU is asked for.
    pub const fn is_shared(self) -> bool {
        self.count == 1 && self.millis < WHOLE_GPU && self.millis > 0
    }

    /// All that is asked for, in thousandths of a GPU.
    pub const fn total(self) -> u32 {
        self.count as u32 * self.millis as u32
    }
}

impl fmt::Display for GpuRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.count, self.millis) {
            _ if self.is_none() => f.write_str("no GPU"),
            (1, WHOLE_GPU) => f.write_str("1 whole GPU"),
            (count, WHOLE_GPU) => write!(f, "{count} whole GPUs"),
            (1, millis) => write!(f, "{millis} thousandths of a GPU"),
            (count, millis) => write!(f, "{millis} thousandths of each of {count} GPUs"),
        }
    }
}

impl Gpus {
    /// A node without GPUs.
    pub const NONE: Self = Self { count: 0, free: [0; MOST_GPUS] };

    /// `count` idle GPUs; nothing if there are more than [`MOST_GPUS`].
    pub fn idle(count: usize) -> Option<Self> {
        let mut free = [0; MOST_GPUS];
        free.get_mut(..count)?.fill(WHOLE_GPU);
        Some(Self { count: u8::try_from(count).ok()?, free })
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The free thousandths of each device.
    #[inline]
    pub fn free(&self) -> &[u16] {
        &self.free[..usize::from(self.count).min(MOST_GPUS)]
    }

    /// The free thousandths of all devices together.
    #[inline]
    pub fn total(&self) -> u32 {
        self.free().iter().map(|free| u32::from(*free)).sum()
    }

    /// How many devices have at least `millis` left.
    #[inline]
    pub fn with_at_least(&self, millis: u16) -> u16 {
        self.free().iter().map(|free| u16::from(*free >= millis)).sum()
    }

    /// How many devices nobody uses.
    #[inline]
    pub fn idle_count(&self) -> u16 {
        self.with_at_least(WHOLE_GPU)
    }

    /// The devices with the least left that is enough for `request`, the lowest numbers first; nothing if too few
    /// are left.
    pub fn tightest(&self, request: GpuRequest) -> Option<Devices> {
        let mut chosen = Devices::NONE;
        for _ in 0..request.count {
            let open = self.free().iter().enumerate();
            let open = open.filter(|(device, free)| **free >= request.millis && !chosen.has(*device));
            chosen = chosen.with(open.min_by_key(|(_, free)| **free)?.0);
        }
        Some(chosen)
    }

    /// What is left when `millis` of each of `devices` are taken; nothing if they have not that much.
    #[must_use]
    #[inline]
    pub fn take(&self, devices: Devices, millis: u16) -> Option<Self> {
        let mut left = *self;
        for device in devices.iter() {
            let free = left.free.get_mut(..usize::from(self.count))?.get_mut(device)?;
            *free = free.checked_sub(millis)?;
        }
        Some(left)
    }

    /// What is free when `millis` of each of `devices` are given back.
    #[must_use]
    pub fn give_back(&self, devices: Devices, millis: u16) -> Self {
        let mut more = *self;
        for device in devices.iter().filter(|device| *device < self.len()) {
            more.free[device] = more.free[device].saturating_add(millis).min(WHOLE_GPU);
        }
        more
    }
}

impl Devices {
    /// No device.
    pub const NONE: Self = Self(0);

    /// These and `device`; the same if it is not below [`MOST_GPUS`].
    #[must_use]
    pub const fn with(self, device: usize) -> Self {
        if device < MOST_GPUS { Self(self.0 | 1 << device) } else { self }
    }

    /// Whether `device` is one of them.
    pub const fn has(self, device: usize) -> bool {
        device < MOST_GPUS && self.0 & 1 << device != 0
    }

    /// How many they are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their numbers, ascending.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let device = (rest != 0).then_some(rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(device)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_request_goes_where_the_least_is_left_that_is_enough() {
        let gpus = Gpus::idle(3).unwrap().take(Devices::NONE.with(1), 600).unwrap();
        assert_eq!(gpus.free(), [1_000, 400, 1_000]);
        assert_eq!(gpus.tightest(GpuRequest::shared(400)), Some(Devices::NONE.with(1)));
        assert_eq!(gpus.tightest(GpuRequest::shared(401)), Some(Devices::NONE.with(0)));
        assert_eq!(gpus.tightest(GpuRequest::whole(2)), Some(Devices::NONE.with(0).with(2)));
        assert_eq!(gpus.tightest(GpuRequest::whole(3)), None);
        assert_eq!(gpus.tightest(GpuRequest::NONE), Some(Devices::NONE));
    }

    #[test]
    fn what_is_taken_comes_back_and_nothing_is_taken_twice() {
        let idle = Gpus::idle(2).unwrap();
        let both = Devices::NONE.with(0).with(1);
        let left = idle.take(both, 700).unwrap();
        assert_eq!(left.total(), 600);
        assert_eq!(left.take(both, 301), None);
        assert_eq!(left.give_back(both, 700), idle);
        assert_eq!(idle.take(Devices::NONE.with(2), 1), None);
        assert_eq!(Gpus::idle(MOST_GPUS + 1), None);
    }
}
