use std::fmt;

/// An amount of bytes as people read it: `512 bytes`, `1 GiB`, `1.5 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((unit, shift)) = UNITS.iter().find(|(_, shift)| self.0 >> shift > 0) else {
            return write!(f, "{} bytes", self.0);
        };
        let (whole, rest) = (self.0 >> shift, self.0 & ((1 << shift) - 1));
        // Rounded down, so that what is over a limit by little is not shown as a limit of its own.
        match (u128::from(rest) * 10) >> shift {
            0 => write!(f, "{whole} {unit}"),
            tenth => write!(f, "{whole}.{tenth} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown = |bytes| Size(bytes).to_string();
        assert_eq!(shown(0), "0 bytes");
        assert_eq!(shown(1 << 30), "1 GiB");
        assert_eq!(shown((1 << 30) + (1 << 29)), "1.5 GiB");
        assert_eq!(shown((64 << 20) + 1), "64 MiB");
        assert_eq!(shown((1 << 40) - 1), "1023.9 GiB");
        assert_eq!(shown(u64::MAX), "16777215.9 TiB");
    }
}
