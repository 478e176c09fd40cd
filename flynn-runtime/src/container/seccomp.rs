//! The system calls that a container may make.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg};
use serde::Deserialize;
use serde_json::json;

/// Data, with its licence beside it.
const PROFILE: &str = include_str!("seccomp.json");
const ARCHITECTURE: &str = "amd64";

/// The profile lets everybody make these and trusts the kernel to refuse them. Most need a capability that
/// only a user namespace gives, so nobody gets one.
const REFUSED: [&str; 19] = [
    "add_key",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "keyctl",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "request_key",
    "setns",
    "umount",
    "umount2",
    "unshare",
];

/// What sockets may talk: within the machine, the Internet protocols, and packets, which take a capability that
/// nobody has. The profile would let in all others too, such as those between a virtual machine and its host,
/// which no network namespace and no packet filter holds back.
const SOCKETS: [u64; 4] = [AF_UNIX, AF_INET, AF_INET6, AF_PACKET];
const AF_UNIX: u64 = 1;
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_NETLINK: u64 = 16;
const AF_PACKET: u64 = 17;
/// The kernel's audit records.
const NETLINK_AUDIT: u64 = 9;

/// The namespace flags of `clone`, from `CLONE_NEWNS` to `CLONE_NEWNET`.
const NAMESPACES: u64 = 0x7e02_0000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Vec<String>,
    action: LinuxSeccompAction,
    args: Option<Vec<LinuxSeccompArg>>,
    errno_ret: Option<u32>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

#[derive(Deserialize, Default)]
struct Condition {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
}

/// The filter for a process with these capabilities, for x86_64 alone: calls of other kinds are refused, and
/// the filter is built in a third of the time.
pub(crate) fn filter(capabilities: &[&str]) -> serde_json::Result<LinuxSeccomp> {
    let profile: Profile = serde_json::from_str(PROFILE)?;
    let has = |name: &String| capabilities.contains(&name.as_str());
    let here = |name: &String| name == ARCHITECTURE;
    let mut rules = Vec::new();
    for mut rule in profile.syscalls {
        let Condition { caps, arches } = &rule.includes;
        let wanted = caps.iter().all(has) && (arches.is_empty() || arches.iter().any(here));
        let unwanted = rule.excludes.caps.iter().any(has) || rule.excludes.arches.iter().any(here);
        if !wanted || unwanted {
            continue;
        }
        // Without clone3 the C library falls back to clone, whose flags a filter can see.
        rule.names.retain(|name| {
            !REFUSED.contains(&name.as_str()) && !["clone", "clone3", "socket"].contains(&name.as_str())
        });
        if !rule.names.is_empty() {
            rules.push(json!({
                "names": rule.names,
                "action": rule.action,
                "args": rule.args.filter(|args| !args.is_empty()),
                "errnoRet": rule.errno_ret,
            }));
        }
    }
    rules.push(json!({
        "names": ["clone"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{ "index": 0, "value": NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }],
    }));
    for family in SOCKETS {
        rules.push(json!({
            "names": ["socket"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{ "index": 0, "value": family, "op": "SCMP_CMP_EQ" }],
        }));
    }
    rules.push(json!({
        "names": ["socket"],
        "action": "SCMP_ACT_ALLOW",
        "args": [
            { "index": 0, "value": AF_NETLINK, "op": "SCMP_CMP_EQ" },
            { "index": 2, "value": NETLINK_AUDIT, "op": "SCMP_CMP_NE" },
        ],
    }));
    rules.push(json!({ "names": REFUSED, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM }));
    serde_json::from_value(json!({
        "defaultAction": profile.default_action,
        "defaultErrnoRet": profile.default_errno_ret,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules,
    }))
}

const EPERM: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::capability;

    fn action(filter: &LinuxSeccomp, call: &str) -> Vec<(LinuxSeccompAction, bool)> {
        let rules = filter.syscalls().as_ref().unwrap().iter();
        let rules = rules.filter(|rule| rule.names().iter().any(|name| name == call));
        rules.map(|rule| (rule.action(), rule.args().is_some())).collect()
    }

    #[test]
    fn ordinary_calls_are_allowed_and_dangerous_ones_are_not() {
        use LinuxSeccompAction::{ScmpActAllow, ScmpActErrno};
        for user in [0, 1000] {
            let filter = filter(capability::of_user(user)).unwrap();
            assert_eq!(filter.default_action(), ScmpActErrno);
            for call in ["read", "openat", "execve", "futex", "epoll_wait", "arch_prctl", "vfork", "prlimit64"] {
                assert_eq!(action(&filter, call), [(ScmpActAllow, false)], "{call}");
            }
            assert_eq!(action(&filter, "clone"), [(ScmpActAllow, true)]);
            assert_eq!(action(&filter, "clone3"), []);
            assert_eq!(action(&filter, "socket"), [(ScmpActAllow, true); 5]);
            let beyond = ["bpf", "init_module", "settimeofday", "kexec_load", "open_by_handle_at", "vmsplice"];
            for call in REFUSED.iter().chain(&beyond) {
                assert_eq!(action(&filter, call), [(ScmpActErrno, false)], "{call}");
            }
            assert_eq!(action(&filter, "s390_runtime_instr"), []);
        }
    }

    #[test]
    fn what_depends_on_a_capability_depends_on_it() {
        let action = |user| action(&filter(capability::of_user(user)).unwrap(), "chroot");
        assert_eq!(action(0), [(LinuxSeccompAction::ScmpActAllow, false)]);
        assert_eq!(action(1000), [(LinuxSeccompAction::ScmpActErrno, false)]);
    }
}
