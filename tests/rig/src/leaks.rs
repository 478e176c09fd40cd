//! What an instance left on the machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use flynn_instance::Names;

/// Everything that is left of the instance with these names and with its files below `place`: processes, mounts,
/// control groups, links, network namespaces and packet filter tables, each as text that says what it is.
pub fn of(names: &Names, place: &Path) -> Vec<String> {
    let mut left = processes(place);
    left.extend(mounts(place));
    left.extend(cgroups(names));
    left.extend(links(names));
    left.extend(namespaces(names));
    left.extend(tables(names));
    left
}

/// A process of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// What it was started as, with its arguments.
    pub line: String,
}

/// The processes that name a path below `place` or have a file open there. Those in containers are not among them,
/// but their supervisors are.
pub fn processes_of(place: &Path) -> Vec<Process> {
    let own = std::process::id();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let ours = line.contains(place.to_string_lossy().as_ref()) || has_open(pid, place);
            ours.then_some(Process { pid, line })
        })
        .collect()
}

fn has_open(pid: u32, place: &Path) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target.starts_with(place))
}

fn processes(place: &Path) -> Vec<String> {
    processes_of(place).into_iter().map(|Process { pid, line }| format!("process {pid}: {line}")).collect()
}

fn mounts(place: &Path) -> Vec<String> {
    let place = place.to_string_lossy();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter(|line| line.contains(place.as_ref())).map(|line| format!("mount {line}")).collect()
}

fn cgroups(names: &Names) -> Vec<String> {
    let hierarchies = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut roots: Vec<_> = hierarchies
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(|line| line.split(' ').nth(4))
        .collect();
    roots.sort_unstable();
    roots.dedup();
    let groups = [names.cgroup(), names.build_cgroup()];
    let paths = roots.iter().flat_map(|root| groups.iter().map(move |group| format!("{root}{group}")));
    paths.filter(|path| Path::new(path).exists()).map(|path| format!("control group {path}")).collect()
}

fn links(names: &Names) -> Vec<String> {
    let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    links
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.contains(&names.to_string()))
        .map(|name| format!("link {name}"))
        .collect()
}

fn namespaces(names: &Names) -> Vec<String> {
    let all = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.contains(&names.to_string()))
        .map(|name| format!("network namespace {name}"))
        .collect()
}

fn tables(names: &Names) -> Vec<String> {
    let output = Command::new("nft").args(["list", "tables"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter(|line| line.contains(&names.to_string())).map(|line| format!("packet filter: {line}")).collect()
}
