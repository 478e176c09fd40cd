//! What a program that embeds Flynn's crates left on the computer.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::leaks::processes_of;

/// Everything that is left of the machine called `name`, whose files are below `place`: processes, mounts, control
/// groups, links, network namespaces and packet filter tables, each as text that says what it is.
pub fn left_by(name: &str, place: &Path) -> Vec<String> {
    let place_text = place.to_string_lossy();
    let mut left: Vec<_> = processes_of(place).into_iter().map(|process| process.to_string()).collect();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(&*place_text)).map(|line| format!("mount {line}")));
    let roots = mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let groups = roots.map(|root| format!("{root}/flynn/{name}")).filter(|group| Path::new(group).exists());
    left.extend(groups.map(|group| format!("control group {group}")));
    for (what, folder) in [("link", "/sys/class/net"), ("network namespace", "/run/netns")] {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        left.extend(names.filter(|entry| entry.contains(name)).map(|entry| format!("{what} {entry}")));
    }
    let tables = Command::new("nft").args(["list", "tables"]).output().unwrap().stdout;
    let tables = String::from_utf8_lossy(&tables).into_owned();
    left.extend(tables.lines().filter(|line| line.contains(name)).map(|line| format!("packet filter: {line}")));
    left
}
