use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A range of addresses. Its first usable one is the node's own.
///
/// ```
/// use flynn_runtime::network::Subnet;
///
/// let subnet: Subnet = "10.80.0.0/16".parse()?;
/// assert_eq!(subnet.gateway().to_string(), "10.80.0.1");
/// # Ok::<(), flynn_runtime::network::NetworkError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    base: u32,
    bits: u8,
}

impl Subnet {
    /// The range of 4,094 addresses that `address` is in.
    pub(crate) fn of_4094(address: Ipv4Addr) -> Self {
        const BITS: u8 = 20;
        Self { base: address.to_bits() & (u32::MAX << (32 - BITS)), bits: BITS }
    }

    /// The node's address.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + 1)
    }

    /// The length of the part that all addresses share, in bits.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// The lowest address that is neither the node's nor among `taken`.
    pub(crate) fn lowest_free(self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let last = self.base + (1 << (32 - u32::from(self.bits))) - 1;
        (self.base + 2..last).map(Ipv4Addr::from_bits).find(|address| !taken.contains(address))
    }
}

impl FromStr for Subnet {
    type Err = super::NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (base, bits) = text.split_once('/')?;
            let (base, bits) = (base.parse::<Ipv4Addr>().ok()?.to_bits(), bits.parse::<u8>().ok()?);
            let hosts = u32::MAX.checked_shr(u32::from(bits))?;
            ((8..=28).contains(&bits) && base & hosts == 0).then_some(Self { base, bits })
        };
        parse().ok_or_else(|| super::NetworkError::Invalid {
            operation: "read a subnet",
            problem: format!("`{text}` is not the start of a range of 8 to 28 bits, such as 10.80.0.0/16"),
        })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_start_of_a_range_is_one() {
        for bad in ["", "10.0.0.0", "10.0.0.1/24", "10.0.0.0/7", "10.0.0.0/29", "10.0.0.0/33", "::/16"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
        assert_eq!("192.168.4.0/22".parse::<Subnet>().unwrap().to_string(), "192.168.4.0/22");
    }

    proptest! {
        #[test]
        fn each_address_is_given_once_and_lies_inside(taken in prop::collection::btree_set(0_u32..16, 0..16)) {
            let subnet: Subnet = "10.1.2.16/28".parse().unwrap();
            let address = |number: u32| Ipv4Addr::from_bits(subnet.base + number);
            let mut taken: BTreeSet<_> = taken.into_iter().map(address).collect();
            let mut given = BTreeSet::new();
            while let Some(free) = subnet.lowest_free(&taken) {
                prop_assert!(taken.insert(free) && given.insert(free));
                prop_assert!(free > subnet.gateway() && free < address(15));
            }
            prop_assert!((2..15).map(address).all(|address| taken.contains(&address)));
        }
    }
}
