use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::NetworkError;

/// Networks that are no part of the public Internet: those for private use, for providers' own, for tests of
/// equipment, for many receivers, and those that have no use yet.
const PRIVATE: [Range; 11] = [
    Range::of([0, 0, 0, 0], 8),
    Range::of([10, 0, 0, 0], 8),
    Range::of([100, 64, 0, 0], 10),
    Range::of([127, 0, 0, 0], 8),
    Range::of([169, 254, 0, 0], 16),
    Range::of([172, 16, 0, 0], 12),
    Range::of([192, 0, 0, 0], 24),
    Range::of([192, 168, 0, 0], 16),
    Range::of([198, 18, 0, 0], 15),
    Range::of([224, 0, 0, 0], 4),
    Range::of([240, 0, 0, 0], 4),
];
/// Where clouds keep metadata, and with them the keys of machines. Nothing opens them.
const METADATA: [Range; 4] = [
    // Link-local, of most clouds.
    Range::of([169, 254, 0, 0], 16),
    // Of Azure, among public addresses.
    Range::of([168, 63, 129, 16], 32),
    // Of Alibaba, among those that carriers share.
    Range::of([100, 100, 100, 200], 32),
    // Of Oracle's first cloud.
    Range::of([192, 0, 0, 192], 32),
];

/// Where jobs may go although it is not the public Internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    /// Whom jobs ask for names. Port 53 of these is open, wherever they are.
    pub resolvers: Vec<Ipv4Addr>,
    /// What is open besides.
    pub allowed: Vec<Destination>,
}

/// Addresses that jobs may reach, at all ports or at one.
///
/// ```
/// use flynn_runtime::network::Destination;
///
/// let databases: Destination = "10.20.0.0/16:5432".parse()?;
/// assert_eq!(databases.to_string(), "10.20.0.0/16:5432");
/// # Ok::<(), flynn_runtime::network::NetworkError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    range: Range,
    port: Option<u16>,
}

impl Destination {
    /// One port of one address.
    pub fn service(address: Ipv4Addr, port: u16) -> Self {
        Self { range: Range { base: address.to_bits(), bits: 32 }, port: Some(port) }
    }
}

impl FromStr for Destination {
    type Err = NetworkError;

    /// Reads `ADDRESS[/BITS][:PORT]`. Addresses where clouds keep metadata are refused, since they stay closed, and
    /// so is IPv6, which jobs do not have.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let refused = |problem: String| NetworkError::Invalid { operation: "read a destination", problem };
        let is_6 = |text: &str| matches!(text.split('/').next().map(str::parse), Some(Ok(IpAddr::V6(_))));
        if is_6(text) || text.starts_with('[') {
            return Err(refused(format!("`{text}` is an address of IPv6, which jobs do not have")));
        }
        let (range, port) = match text.split_once(':') {
            Some((range, port)) => (range, Some(port.parse::<u16>().ok().filter(|port| *port > 0))),
            None => (text, None),
        };
        let (Some(range), Some(port)) = (Range::parse(range), port.map_or(Some(None), |port| port.map(Some))) else {
            let form = "ADDRESS[/BITS][:PORT] with the first address of its range";
            return Err(refused(format!("`{text}` is not {form}, such as 10.20.0.5:5432 or 10.20.0.0/16")));
        };
        if METADATA.iter().any(|closed| closed.holds(range)) {
            let why = "jobs never reach addresses where clouds keep their metadata";
            return Err(refused(format!("`{text}` cannot be opened: {why}")));
        }
        Ok(Self { range, port })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { range, port: Some(port) } => write!(f, "{range}:{port}"),
            Self { range, port: None } => write!(f, "{range}"),
        }
    }
}

/// Addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    base: u32,
    bits: u8,
}

impl Range {
    const fn of(base: [u8; 4], bits: u8) -> Self {
        Self { base: u32::from_be_bytes(base), bits }
    }

    /// Reads `ADDRESS[/BITS]`; none if the address is not the first of its range.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (base, bits) = text.split_once('/').unwrap_or((text, "32"));
        let range = Self { base: base.parse::<Ipv4Addr>().ok()?.to_bits(), bits: bits.parse().ok()? };
        (range.bits <= 32 && range.base & !range.mask() == 0).then_some(range)
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0)
    }

    fn holds(self, other: Self) -> bool {
        self.bits <= other.bits && other.base & self.mask() == self.base
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.bits)
    }
}

/// What is closed whatever is allowed, as elements of a set.
pub(crate) fn metadata() -> String {
    METADATA.map(|range| range.to_string()).join(", ")
}

/// What is closed: everything private and the networks that the node itself is in, as elements of a set.
pub(crate) fn closed(own: &[Range]) -> Vec<String> {
    outermost(PRIVATE.iter().chain(own).map(|range| (None, *range)).collect())
        .into_iter()
        .map(|(_, range)| range.to_string())
        .collect()
}

/// What is open at all ports, and what at one, as elements of two sets.
pub(crate) fn open(allowed: &[Destination]) -> (Vec<String>, Vec<String>) {
    let allowed = outermost(allowed.iter().map(|destination| (destination.port, destination.range)).collect());
    let (services, whole): (Vec<_>, Vec<_>) = allowed.into_iter().partition(|(port, _)| port.is_some());
    (
        whole.into_iter().map(|(_, range)| range.to_string()).collect(),
        services.into_iter().filter_map(|(port, range)| Some(format!("{range} . {}", port?))).collect(),
    )
}

/// Leaves out ranges that lie in others, since elements of a set must not overlap. Ranges nest or are disjoint.
fn outermost(mut ranges: Vec<(Option<u16>, Range)>) -> Vec<(Option<u16>, Range)> {
    ranges.sort();
    ranges.dedup_by(|(port, inner), (last, outer)| port == last && outer.holds(*inner));
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn destinations_are_read_or_refused_with_the_reason() {
        for good in ["10.0.0.0/8", "192.168.1.7/32:80", "0.0.0.0/0", "172.16.0.0/12:65535"] {
            assert_eq!(good.parse::<Destination>().unwrap().to_string(), good);
        }
        assert_eq!("10.0.0.9:53".parse::<Destination>().unwrap(), Destination::service([10, 0, 0, 9].into(), 53));
        for (bad, why) in [
            ("", "is not"),
            ("10.0.0.1/8", "the first address"),
            ("10.0.0.0/33", "is not"),
            ("10.0.0.0:0", "is not"),
            ("10.0.0.0:http", "is not"),
            ("example.com", "is not"),
            ("fd00::/8", "IPv6"),
            ("::1", "IPv6"),
            ("[fd00::1]:80", "IPv6"),
            ("169.254.169.254:80", "metadata"),
            ("169.254.0.0/16", "metadata"),
            ("168.63.129.16", "metadata"),
            ("100.100.100.200:80", "metadata"),
        ] {
            let refused = bad.parse::<Destination>().unwrap_err().to_string();
            assert!(refused.contains(why), "{bad}: {refused}");
        }
    }

    #[test]
    fn sets_say_each_address_once() {
        let allowed = ["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16:80", "10.1.2.3:80", "10.1.2.3:81"];
        let allowed: Vec<Destination> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let services = vec!["10.1.0.0/16 . 80".to_owned(), "10.1.2.3/32 . 81".to_owned()];
        assert_eq!(open(&allowed), (vec!["10.0.0.0/8".to_owned()], services));
        let own = ["192.168.7.0/24", "198.51.100.0/24"].map(|text| Range::parse(text).unwrap());
        let closed = closed(&own);
        assert_eq!(closed.len(), PRIVATE.len() + 1);
        assert!(closed.contains(&"198.51.100.0/24".to_owned()));
    }

    proptest! {
        #[test]
        fn what_is_left_holds_all_that_was_given_and_does_not_overlap(
            given in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..40)
        ) {
            let range = |(base, bits)| { let range = Range { base, bits }; Range { base: base & range.mask(), bits } };
            let given: Vec<_> = given.into_iter().map(range).collect();
            let left = outermost(given.iter().map(|range| (None, *range)).collect());
            prop_assert!(given.iter().all(|one| left.iter().any(|(_, outer)| outer.holds(*one))));
            for (at, (_, one)) in left.iter().enumerate() {
                prop_assert!(given.contains(one));
                prop_assert!(left.iter().enumerate().all(|(other, (_, outer))| other == at || !outer.holds(*one)));
            }
        }
    }
}
