//! System call filters.
//!
//! To compile one takes longer than anything else on a container's way, and the same few are used over and over. So a
//! runtime has them compiled once, and each process loads what is ready.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::str::FromStr;

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nix::libc;
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator,
};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::executor::chain;

/// A filter, ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter {
    /// The instructions of the kernel's machine, one in each number.
    pub(crate) program: Vec<u64>,
    /// How it is loaded, in bits of the kernel's.
    pub(crate) flags: libc::c_ulong,
}

impl Filter {
    /// From here on this process, and what it starts, makes only the calls that the filter lets through.
    pub(crate) fn load(&self) -> nix::Result<()> {
        let length = u16::try_from(self.program.len()).map_err(|_| nix::errno::Errno::E2BIG)?;
        let program = libc::sock_fprog { len: length, filter: self.program.as_ptr().cast_mut().cast() };
        let operation = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: the instructions are as many as is said, lie as the kernel wants them on a machine whose low bytes
        // come first, and are only read.
        let loaded = unsafe { libc::syscall(libc::SYS_seccomp, operation, self.flags, &raw const program) };
        nix::errno::Errno::result(loaded).map(|_| ())
    }
}

fn flags(filter: &LinuxSeccomp) -> Option<libc::c_ulong> {
    let mut bits = 0;
    for flag in filter.flags().iter().flatten() {
        bits |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => libc::SECCOMP_FILTER_FLAG_TSYNC,
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => return None,
        };
    }
    Some(bits)
}

/// Compiles a filter without a listener.
pub(crate) fn compile(filter: &LinuxSeccomp) -> Result<Filter, String> {
    let flags = flags(filter).ok_or("it is to be loaded with a listener")?;
    let told = |error: libseccomp::error::SeccompError| chain(&error);
    let otherwise = action(filter.default_action(), filter.default_errno_ret())?;
    let mut context = ScmpFilterContext::new(otherwise).map_err(told)?;
    for architecture in filter.architectures().iter().flatten() {
        context.add_arch(ScmpArch::from_str(&name(architecture)?).map_err(told)?).map_err(told)?;
    }
    for rule in filter.syscalls().iter().flatten() {
        let action = action(rule.action(), rule.errno_ret())?;
        if action == otherwise {
            continue;
        }
        let conditions: Vec<_> = rule.args().iter().flatten().map(condition).collect();
        let distinct: HashSet<_> = rule.args().iter().flatten().map(LinuxSeccompArg::index).collect();
        for call in rule.names() {
            // One that the library does not know has no number that could be let through.
            let Ok(call) = ScmpSyscall::from_name(call) else {
                continue;
            };
            if rule.args().is_none() {
                context.add_rule(action, call).map_err(told)?;
            } else if distinct.len() == conditions.len() {
                context.add_rule_conditional(action, call, &conditions).map_err(told)?;
            } else {
                // An argument is looked at once in a rule. Several conditions for one are rules of their own.
                for condition in &conditions {
                    context.add_rule_conditional(action, call, std::slice::from_ref(condition)).map_err(told)?;
                }
            }
        }
    }
    let program = export(&context).map_err(|error| error.to_string())?;
    Ok(Filter { program, flags })
}

fn export(context: &ScmpFilterContext) -> std::io::Result<Vec<u64>> {
    let mut file = File::from(memfd_create("filter", MemfdFlags::CLOEXEC)?);
    context.export_bpf(&file).map_err(std::io::Error::other)?;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let instructions =
        bytes.chunks_exact(8).map(|eight| eight.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)));
    Ok(instructions.collect())
}

fn action(action: LinuxSeccompAction, number: Option<u32>) -> Result<ScmpAction, String> {
    let number = i32::try_from(number.unwrap_or(libc::EPERM.cast_unsigned())).map_err(|error| error.to_string())?;
    ScmpAction::from_str(&name(&action)?, Some(number)).map_err(|error| chain(&error))
}

fn condition(argument: &LinuxSeccompArg) -> ScmpArgCompare {
    let (mut value, other) = (argument.value(), argument.value_two().unwrap_or(0));
    let compare = match argument.op() {
        LinuxSeccompOperator::ScmpCmpNe => ScmpCompareOp::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => ScmpCompareOp::Less,
        LinuxSeccompOperator::ScmpCmpLe => ScmpCompareOp::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => ScmpCompareOp::Equal,
        LinuxSeccompOperator::ScmpCmpGe => ScmpCompareOp::GreaterEqual,
        LinuxSeccompOperator::ScmpCmpGt => ScmpCompareOp::Greater,
        LinuxSeccompOperator::ScmpCmpMaskedEq => ScmpCompareOp::MaskedEqual(std::mem::replace(&mut value, other)),
    };
    ScmpArgCompare::new(u32::try_from(argument.index()).unwrap_or(u32::MAX), compare, value)
}

/// What the library calls a thing, which is what the specification calls it.
fn name<T: Serialize>(thing: &T) -> Result<String, String> {
    let value = serde_json::to_value(thing).map_err(|error| error.to_string())?;
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is no name"))
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};
    use serde_json::json;

    use super::*;

    fn filter() -> LinuxSeccomp {
        let compared = |value: u64| json!([{ "index": 0, "value": value, "op": "SCMP_CMP_EQ" }]);
        let twice = json!([
            { "index": 0, "value": 7, "op": "SCMP_CMP_EQ" }, { "index": 0, "value": 8, "op": "SCMP_CMP_EQ" },
        ]);
        let masked = json!([{ "index": 0, "value": 0xf00, "valueTwo": 0x100, "op": "SCMP_CMP_MASKED_EQ" }]);
        serde_json::from_value(json!({
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                { "names": ["getppid", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 },
                { "names": ["umask"], "action": "SCMP_ACT_ERRNO", "args": compared(0o77) },
                { "names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 94, "args": twice },
                { "names": ["getpid"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 93, "args": masked },
            ],
        }))
        .unwrap()
    }

    /// What comes of some calls under a filter.
    fn ends(load: impl FnOnce() -> bool) -> i32 {
        // SAFETY: the child makes system calls and allocates; a copy of the allocator's locks is held by nobody, since
        // tests of this package run in processes of their own or wait for the child.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
                WaitStatus::Exited(_, code) => code,
                other => panic!("{other:?}"),
            },
            ForkResult::Child => {
                let consent = rustix::thread::set_no_new_privs(true).is_ok();
                let loaded = load();
                // SAFETY: none of these calls touches memory, and the descriptors are not open.
                let results = unsafe {
                    [
                        libc::syscall(libc::SYS_getppid) == -1 && *libc::__errno_location() == 95,
                        libc::syscall(libc::SYS_umask, 0o77) == -1 && *libc::__errno_location() == libc::EPERM,
                        libc::syscall(libc::SYS_umask, 0o22) >= 0,
                        libc::syscall(libc::SYS_close, 7) == -1 && *libc::__errno_location() == 94,
                        libc::syscall(libc::SYS_close, 8) == -1 && *libc::__errno_location() == 94,
                        libc::syscall(libc::SYS_getpid) > 0,
                        libc::syscall(libc::SYS_dup, 0x1102) == -1 && *libc::__errno_location() == 93,
                        libc::syscall(libc::SYS_dup, 0x1302) == -1 && *libc::__errno_location() == libc::EBADF,
                    ]
                };
                let held = results.iter().filter(|held| **held).count();
                let code = if consent && loaded { i32::try_from(held).unwrap_or(0) } else { 100 };
                // SAFETY: it ends without running anything of the parent's.
                unsafe { libc::_exit(code) }
            }
        }
    }

    #[test]
    fn a_filter_holds_as_it_is_described() {
        let described = filter();
        let compiled = compile(&described).unwrap();
        assert_eq!(ends(|| compiled.load().is_ok()), 8);
        // libcontainer 0.7.0 takes the mask of a comparison for its value. When this fails, it does not any more.
        assert_eq!(ends(|| libcontainer::seccomp::initialize_seccomp(&described).is_ok()), 7);
    }

    #[test]
    fn a_filter_says_how_it_is_loaded() {
        let mut wish = filter();
        wish.set_flags(Some(serde_json::from_value(json!(["SECCOMP_FILTER_FLAG_LOG"])).unwrap()));
        assert_eq!((compile(&filter()).unwrap().flags, compile(&wish).unwrap().flags), (0, 2));
    }
}
