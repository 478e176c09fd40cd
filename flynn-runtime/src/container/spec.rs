//! From a [`ContainerSpec`] to an OCI runtime specification.

use std::path::{Component, Path};

use flynn_core::JobId;
use flynn_core::noun::Terminal;
use flynn_core::port::{ContainerSpec, Mount, MountSource, Process, RuntimeError};
use flynn_core::value::Resources;
use oci_spec::runtime::{Process as OciProcess, Spec, get_default_maskedpaths, get_default_readonly_paths};
use serde_json::{Value, json};

use super::{capability, seccomp};
use crate::cgroup::{CgroupPath, SwapLimit};
use crate::environment;
use crate::shim::{ContainerWork, RootMount};

const CREATE: &str = "create";
/// A container that names no limit of its own gets this one, so that it cannot use up the node's numbers.
const MOST_PIDS: u64 = 4_096;
/// The first process is the shim's, and not one of the job's.
const OWN_PIDS: u64 = 1;
/// The scheduler's period, in microseconds.
const PERIOD: u64 = 100_000;
/// The shortest time within a period that the kernel accepts.
const SHORTEST_QUOTA: u64 = 1_000;
const OPEN_FILES: u64 = 65_536;
/// What files that programs make lack of the rights they ask for, as is usual everywhere.
const MASK: u32 = 0o022;

/// Everything that a shim needs to know to run the container.
pub(crate) fn work(
    job: JobId,
    spec: &ContainerSpec,
    cgroup: &CgroupPath,
    most_files: u64,
    swap: SwapLimit,
) -> Result<ContainerWork, RuntimeError> {
    let (root, rest) = root(&spec.root)?;
    let mounts = rest.iter().chain(&spec.mounts).map(mount).collect::<Result<Vec<_>, _>>()?;
    check_hostname(&spec.hostname)?;
    let network = match &spec.network {
        Some(path) => json!({ "type": "network", "path": absolute("the network namespace", path)? }),
        None => json!({ "type": "network" }),
    };
    let filter = seccomp::filter(capability::of_user(spec.process.user.0)).map_err(broken)?;
    // Paths that the lists of the specification's crate lack.
    let masked = get_default_maskedpaths()
        .into_iter()
        .chain(["/proc/interrupts", "/sys/devices/virtual/powercap"].map(str::to_owned));
    let value = json!({
        "ociVersion": "1.0.2",
        "hostname": spec.hostname,
        "root": { "path": "", "readonly": false },
        "process": process(CREATE, &spec.process, most_files)?,
        "mounts": own_mounts().into_iter().chain(mounts).collect::<Vec<_>>(),
        "linux": {
            "cgroupsPath": cgroup.to_string(),
            "namespaces": [
                { "type": "pid" }, { "type": "mount" }, { "type": "uts" }, { "type": "ipc" }, { "type": "cgroup" },
                network,
            ],
            "resources": resources(&spec.resources, swap),
            "seccomp": filter,
            "maskedPaths": masked.collect::<Vec<_>>(),
            "readonlyPaths": get_default_readonly_paths(),
            "sysctl": { "net.ipv4.ip_unprivileged_port_start": "0" },
            "rootfsPropagation": "private",
        },
        "annotations": { "flynn.job": job.to_string(), "flynn.app": spec.app.to_string() },
    });
    let spec: Spec = serde_json::from_value(value).map_err(broken)?;
    Ok(ContainerWork { spec, root, filter: None })
}

/// The first and every further process of a container are described by this one function, so that they are
/// confined alike.
pub(crate) fn process(operation: &'static str, process: &Process, most_files: u64) -> Result<OciProcess, RuntimeError> {
    let env = environment::open(operation, process)?;
    let (user, group) = process.user;
    let capabilities = capability::of_user(user);
    let files = OPEN_FILES.min(most_files);
    let value = json!({
        "terminal": process.terminal == Terminal::Pty,
        "user": { "uid": user, "gid": group, "umask": MASK },
        "args": process.command,
        "env": env.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
        "cwd": process.directory,
        "noNewPrivileges": true,
        // What is not named here would be filled in with a default that is not empty.
        "capabilities": {
            "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            "inheritable": [], "ambient": [],
        },
        "rlimits": [
            { "type": "RLIMIT_NOFILE", "soft": files, "hard": files },
            { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
        ],
    });
    serde_json::from_value(value).map_err(broken)
}

fn own_mounts() -> Vec<Value> {
    let own = |target: &str, kind: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    vec![
        own("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        own("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]),
        own("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        own("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        own("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        own("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ]
}

fn resources(limits: &Resources, swap: SwapLimit) -> Value {
    let pids = if limits.pids == 0 { MOST_PIDS } else { limits.pids };
    let mut value = json!({
        "devices": [{ "allow": false, "access": "rwm" }],
        "pids": { "limit": pids.saturating_add(OWN_PIDS).min(i64::MAX.cast_unsigned()) },
    });
    if limits.memory_bytes > 0 {
        let limit = limits.memory_bytes.min(i64::MAX.cast_unsigned());
        value["memory"] = json!({ "limit": limit });
        // What may not be in memory may not be in swap either, else a job that takes too much slows its node down
        // in place of being ended.
        match swap {
            SwapLimit::Together => value["memory"]["swap"] = json!(limit),
            // Said as the sum of both, libcontainer takes the difference of zero for none.
            SwapLimit::Apart => value["unified"] = json!({ "memory.swap.max": "0" }),
            SwapLimit::Unknown => {}
        }
    }
    if limits.cpu_millis > 0 {
        let quota = (limits.cpu_millis.saturating_mul(PERIOD) / 1_000).clamp(SHORTEST_QUOTA, u64::from(u32::MAX));
        let shares = (limits.cpu_millis.saturating_mul(1_024) / 1_000).clamp(2, 262_144);
        value["cpu"] = json!({ "quota": quota, "period": PERIOD, "shares": shares });
    }
    value
}

/// The root is the one mount at `/`, and the first.
fn root(mounts: &[Mount]) -> Result<(RootMount, &[Mount]), RuntimeError> {
    let Some((Mount { source, target, read_only }, rest)) = mounts.split_first() else {
        return Err(invalid("the root file system is missing: give a mount at /"));
    };
    if target != Path::new("/") {
        return Err(invalid("the first mount of the root file system is not at /"));
    }
    let root = match source {
        MountSource::Bind(path) => {
            let path = absolute("the root", path)?.to_owned();
            if *read_only { RootMount::ReadOnly(path) } else { RootMount::Writable(path) }
        }
        MountSource::Overlay { lower, upper, work } if !lower.is_empty() && !read_only => {
            for path in lower.iter().chain([upper, work]) {
                absolute("a layer", path)?;
            }
            RootMount::Overlay { lower: lower.clone(), upper: upper.clone(), work: work.clone() }
        }
        _ => return Err(invalid("the root is neither a directory nor writable layers")),
    };
    Ok((root, rest))
}

fn mount(mount: &Mount) -> Result<Value, RuntimeError> {
    let target = absolute("a mount point", &mount.target)?;
    if target == Path::new("/") {
        return Err(invalid("there are two mounts at /"));
    }
    let access = if mount.read_only { "ro" } else { "rw" };
    match &mount.source {
        MountSource::Bind(path) => Ok(json!({
            "destination": target, "type": "bind", "source": absolute("the source of a mount", path)?,
            "options": ["rbind", "rprivate", "nosuid", "nodev", access],
        })),
        MountSource::Tmpfs { bytes } => Ok(json!({
            "destination": target, "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "nodev", "mode=1777", format!("size={bytes}"), access],
        })),
        _ => Err(invalid("layers can be mounted at / only")),
    }
}

fn absolute<'a>(what: &str, path: &'a Path) -> Result<&'a Path, RuntimeError> {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain && path.to_str().is_some() {
        return Ok(path);
    }
    Err(invalid(&format!("{what} is at {}: give an absolute path of text without ..", path.display())))
}

fn check_hostname(name: &str) -> Result<(), RuntimeError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
        return Err(invalid("the host name is not 1 to 63 letters, digits, `-` and `.`"));
    }
    Ok(())
}

fn invalid(problem: &str) -> RuntimeError {
    RuntimeError::Invalid { operation: CREATE, problem: problem.to_owned() }
}

fn broken(error: serde_json::Error) -> RuntimeError {
    RuntimeError::Failed { operation: CREATE, source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_limit_leaves_no_swap_in_the_words_of_the_kernel() {
        let limits = Resources { memory_bytes: 7 << 20, ..Resources::ZERO };
        let said = |limits: &Resources, swap| {
            let said = resources(limits, swap);
            (said["memory"].clone(), said["unified"].clone())
        };
        let limit = json!({ "limit": 7 << 20 });
        assert_eq!(said(&limits, SwapLimit::Unknown), (limit.clone(), Value::Null));
        assert_eq!(said(&limits, SwapLimit::Apart), (limit, json!({ "memory.swap.max": "0" })));
        let both = json!({ "limit": 7 << 20, "swap": 7 << 20 });
        assert_eq!(said(&limits, SwapLimit::Together), (both, Value::Null));
        for swap in [SwapLimit::Unknown, SwapLimit::Apart, SwapLimit::Together] {
            assert_eq!(said(&Resources::ZERO, swap), (Value::Null, Value::Null));
            serde_json::from_value::<oci_spec::runtime::LinuxResources>(resources(&limits, swap)).unwrap();
        }
    }
}
