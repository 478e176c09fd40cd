use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use flynn_instance::{Layout, Names};

/// A process of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// What it was started as, with its arguments.
    pub line: String,
    /// The first file or folder of the instance that it has open.
    pub at: Option<PathBuf>,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}: {}", self.pid, self.line)?;
        self.at.as_ref().map_or(Ok(()), |at| write!(f, "at {}", at.display()))
    }
}

/// The processes that name a path below `place`, are in one or have a file open there. Those in containers are not among
/// them, but their supervisors are.
pub fn processes_of(place: &Path) -> Vec<Process> {
    let own = std::process::id();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let at = place_in(pid, place);
            let ours = at.is_some() || line.contains(place.to_string_lossy().as_ref());
            ours.then_some(Process { pid, line, at })
        })
        .collect()
}

fn place_in(pid: u32, place: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().map(|file| file.path());
    let mut links =
        files.chain([PathBuf::from(format!("/proc/{pid}/cwd"))]).filter_map(|link| fs::read_link(link).ok());
    links.find(|target| target.starts_with(place))
}

/// The links that bear the name of an instance or are ports of its bridges.
pub fn links(names: &Names) -> Vec<String> {
    let ports = [names.bridge(), names.build_bridge()].map(|bridge| format!("/sys/class/net/{bridge}/brif"));
    let mut links: BTreeSet<_> =
        entries("/sys/class/net").into_iter().filter(|name| name.contains(names.key())).collect();
    links.extend(ports.iter().flat_map(entries));
    links.into_iter().collect()
}

/// What there is for a job each: processes beside the programs of the instance, mounts, control groups, links, network
/// namespaces, and elements of the packet filter.
pub(super) fn of_jobs(layout: &Layout) -> Vec<String> {
    let names = layout.names();
    let bridges = [names.bridge(), names.build_bridge()];
    let is_program = |line: &str| ["flynnd", "flynn-host", "flynn-router"].iter().any(|name| of_program(line, name));
    let processes = processes_of(layout.data()).into_iter().filter(|process| !is_program(&process.line));
    let mut found: Vec<_> = processes.map(|process| process.to_string()).collect();
    found.extend(mounts(layout));
    for group in groups(names) {
        found.extend(folders(&group).into_iter().map(|group| format!("control group {}", group.display())));
    }
    let ports = links(names).into_iter().filter(|link| !bridges.contains(link));
    found.extend(ports.map(|link| format!("link {link}")));
    let namespaces = entries("/run/netns").into_iter().filter(|name| name.contains(names.key()));
    found.extend(namespaces.map(|name| format!("network namespace {name}")));
    for bridge in bridges {
        for (kind, name) in [("map", "apps"), ("set", "members")] {
            let text = said(Command::new("nft").args(["list", kind, "inet", &bridge, name]));
            let elements = text.split_once("elements").map(|(_, elements)| elements).unwrap_or_default();
            let words = elements.split(|c: char| c != '.' && !c.is_ascii_digit());
            let addresses: BTreeSet<_> = words.filter(|word| word.parse::<Ipv4Addr>().is_ok()).collect();
            found.extend(addresses.into_iter().map(|address| format!("element of {bridge} {name}: {address}")));
        }
    }
    found
}

/// What there is for an instance as a whole.
pub(super) fn own(layout: &Layout) -> Vec<String> {
    let names = layout.names();
    let mut found = Vec::new();
    for place in [layout.data(), layout.run()] {
        found.extend(processes_of(place).iter().map(Process::to_string));
    }
    found.extend(groups(names).iter().map(|group| format!("control group {}", group.display())));
    found.extend(links(names).into_iter().map(|link| format!("link {link}")));
    let tables = said(Command::new("nft").args(["list", "tables"]));
    let tables = tables.lines().filter(|line| line.contains(names.key()));
    found.extend(tables.map(|line| format!("packet filter: {line}")));
    let files = [layout.post("flynn-host"), layout.post("flynn-router"), layout.socket()];
    let files = files.iter().filter(|file| file.exists());
    found.extend(files.map(|file| format!("file {}", file.display())));
    found
}

fn of_program(line: &str, name: &str) -> bool {
    line.split(' ').next().is_some_and(|program| program.ends_with(&format!("/{name}")))
}

fn mounts(layout: &Layout) -> Vec<String> {
    let data = layout.data().to_string_lossy().into_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_disk = |line: &str| line.split(' ').nth(4) == Some(&*data);
    let ours = mounts.lines().filter(|line| line.contains(&data) || line.contains(layout.names().key()));
    // The data may be on a disk of their own.
    let ours = ours.filter(|line| !is_disk(line));
    ours.map(|line| format!("mount {line}")).collect()
}

/// The topmost control groups of an instance, in each hierarchy that has them.
pub(crate) fn groups(names: &Names) -> Vec<PathBuf> {
    let hierarchies = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let roots: BTreeSet<_> = hierarchies
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(|line| line.split(' ').nth(4))
        .collect();
    let groups = [names.cgroup(), names.build_cgroup()];
    let paths = roots.iter().flat_map(|root| groups.iter().map(move |group| PathBuf::from(format!("{root}{group}"))));
    paths.filter(|path| path.exists()).collect()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}

fn entries(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn said(command: &mut Command) -> String {
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
