//! The packet filter: one table whose rules never change, and sets that do.

use std::fmt::Write;

use super::Subnet;
use super::egress::{self, Destination, Egress, Range};
use super::records::Lease;

/// Replaces the whole table in one step. `own` are the networks that the node is in.
pub(crate) fn table<'a>(
    name: &str,
    subnet: Subnet,
    egress: &Egress,
    own: &[Range],
    leases: impl Iterator<Item = &'a Lease>,
) -> String {
    let (bridge, metadata) = (name, egress::metadata());
    let mut text = format!(
        "add table inet {name}
delete table inet {name}
table inet {name} {{
  map apps {{ type ipv4_addr : mark; }}
  set members {{ type mark . ipv4_addr; }}
  set resolvers {{ type ipv4_addr; }}
  set open {{ type ipv4_addr; flags interval; }}
  set services {{ type ipv4_addr . inet_service; flags interval; }}
  set closed {{ type ipv4_addr; flags interval; }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname != \"{bridge}\" accept
    ct state established,related accept
    ip saddr {subnet} ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
    drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname \"{bridge}\" jump from_jobs
    oifname \"{bridge}\" jump to_jobs
  }}
  chain from_jobs {{
    meta nfproto != ipv4 drop
    ip saddr != {subnet} drop
    ct state established,related accept
    oifname \"{bridge}\" jump to_siblings
    ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr {{ {metadata} }} drop
    ip daddr @open accept
    meta l4proto {{ tcp, udp }} ip daddr . th dport @services accept
    ip daddr @closed drop
    accept
  }}
  chain to_siblings {{
    meta mark set ip saddr map @apps
    meta mark . ip daddr @members accept
    drop
  }}
  chain to_jobs {{
    ct state established,related accept
    iifname \"{bridge}\" accept
    drop
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != \"{bridge}\" masquerade
  }}
}}
"
    );
    text.push_str(&reserve(name, subnet));
    let resolvers: Vec<_> = egress.resolvers.iter().map(ToString::to_string).collect();
    for (set, elements) in [("resolvers", resolvers), ("closed", egress::closed(own))] {
        add(&mut text, name, set, &elements);
    }
    text.push_str(&allow(name, &egress.allowed));
    for lease in leases {
        text.push_str(&admit(name, lease));
    }
    text
}

/// Refuses what the node itself sends to addresses of jobs and what would not go to the bridge: without that, where the
/// default route leads would answer in their place.
pub(crate) fn reserve(name: &str, subnet: Subnet) -> String {
    format!(
        "add table inet {name}
add chain inet {name} output {{ type filter hook output priority filter; policy accept; }}
flush chain inet {name} output
add rule inet {name} output oifname \"{name}\" accept
add rule inet {name} output ip daddr {subnet} oifname != \"lo\" meta l4proto tcp reject with tcp reset
add rule inet {name} output ip daddr {subnet} oifname != \"lo\" drop
"
    )
}

/// An empty chain that says that forwarding was off on the node. Rules and forwarding are gone together when the
/// machine starts again, which a file would outlive.
const WAS_OFF: &str = "forwarding_was_off";

pub(crate) fn note_forwarding(name: &str) -> String {
    format!("add chain inet {name} {WAS_OFF}\n")
}

/// What the packet filter says of forwarding on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Forwarding {
    /// A network of ours has turned it on.
    pub(crate) was_off: bool,
    /// A table beside that of one network filters what is forwarded.
    pub(crate) is_needed: bool,
}

/// Reads a list of all chains.
pub(crate) fn forwarding(chains: &str, name: &str) -> Forwarding {
    let mut said = Forwarding::default();
    let mut is_own = false;
    for line in chains.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["table", family, table, ..] => is_own = family == "inet" && table == name,
            ["chain", chain, ..] if chain == WAS_OFF => said.was_off = true,
            ["type", _, "hook", "forward", ..] if !is_own => said.is_needed = true,
            _ => {}
        }
    }
    said
}

/// Opens these and no others.
pub(crate) fn allow(name: &str, allowed: &[Destination]) -> String {
    let (whole, services) = egress::open(allowed);
    let mut text = format!("flush set inet {name} open\nflush set inet {name} services\n");
    add(&mut text, name, "open", &whole);
    add(&mut text, name, "services", &services);
    text
}

fn add(text: &mut String, name: &str, set: &str, elements: &[String]) {
    if !elements.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "add element inet {name} {set} {{ {} }}", elements.join(", "));
    }
}

/// Lets jobs of one app reach each other. Repeated, it changes nothing.
pub(crate) fn admit(name: &str, lease: &Lease) -> String {
    elements("add", name, lease)
}

/// Takes that back. What is not there is added first, since only that can be deleted.
pub(crate) fn dismiss(name: &str, lease: &Lease) -> String {
    admit(name, lease) + &elements("delete", name, lease)
}

fn elements(verb: &str, name: &str, Lease { address, number, .. }: &Lease) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{verb} element inet {name} apps {{ {address} : {number} }}");
    let _ = writeln!(text, "{verb} element inet {name} members {{ {number} . {address} }}");
    text
}
