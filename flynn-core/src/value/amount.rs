use std::fmt;

use super::Dimension;

/// An amount of a [`Dimension`] in the unit that people use. Bytes are rounded down to whole MiB from 1 MiB on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(pub Dimension, pub u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        match (self.0, self.1) {
            (_, 0) => f.write_str("0"),
            (Dimension::Pids, pids) => write!(f, "{pids}"),
            (Dimension::Cpu, 1_000) => f.write_str("1 core"),
            (Dimension::Cpu, millis) if millis.is_multiple_of(1_000) => write!(f, "{} cores", millis / 1_000),
            (Dimension::Cpu, millis) => write!(f, "{millis} thousandths of a core"),
            (_, bytes) if bytes.is_multiple_of(GIB) => write!(f, "{} GiB", bytes / GIB),
            (_, bytes) if bytes >= MIB => write!(f, "{} MiB", bytes / MIB),
            (_, bytes) => write!(f, "{bytes} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_the_units_of_people() {
        let text = |dimension, amount| Amount(dimension, amount).to_string();
        assert_eq!(
            [0, 1, (8 << 20) - 1, 3 << 30, (3 << 30) + 1].map(|bytes| text(Dimension::Memory, bytes)),
            ["0", "1 bytes", "7 MiB", "3 GiB", "3072 MiB"]
        );
        assert_eq!(
            [500, 1_000, 2_000].map(|millis| text(Dimension::Cpu, millis)),
            ["500 thousandths of a core", "1 core", "2 cores"]
        );
        assert_eq!(text(Dimension::Pids, 7), "7");
    }
}
