//! The packet filter: one table whose rules never change, and sets that do.

use std::fmt::Write;

use super::Subnet;
use super::records::Lease;

/// Replaces the whole table in one step.
pub(crate) fn table<'a>(name: &str, bridge: &str, subnet: Subnet, leases: impl Iterator<Item = &'a Lease>) -> String {
    let mut text = format!(
        "add table inet {name}
delete table inet {name}
table inet {name} {{
  map apps {{ type ipv4_addr : mark; }}
  set members {{ type mark . ipv4_addr; }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname != \"{bridge}\" accept
    ct state established,related accept
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
    ip daddr 169.254.0.0/16 drop
    oifname != \"{bridge}\" accept
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
    for lease in leases {
        text.push_str(&admit(name, lease));
    }
    text
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
