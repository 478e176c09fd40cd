use std::fs;
use std::path::Path;
use std::process::Command;

use flynn_instance::Layout;

/// What an instance left on the machine, beside its data.
pub fn remains(layout: &Layout) -> Vec<String> {
    let name = layout.names().key().to_owned();
    let mut found = processes(layout.data().parent().unwrap());
    found.extend(lines_with("/proc/self/mountinfo", &[layout.data().to_str().unwrap(), &name]));
    found.extend(groups(Path::new("/sys/fs/cgroup"), &name));
    found.extend(said_by("ip", &["-oneline", "link", "show"], &name));
    found.extend(said_by("ip", &["netns", "list"], &name));
    found.extend(said_by("nft", &["list", "tables"], &name));
    for file in ["flynn-host", "flynn-router"].map(|program| layout.post(program)).iter().chain([&layout.socket()]) {
        if file.exists() {
            found.push(file.display().to_string());
        }
    }
    found
}

/// Processes with a folder in their arguments, or that are in it.
fn processes(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let is_own = entry.file_name().to_str() == Some(&std::process::id().to_string());
        let is_process = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        if !is_process || is_own {
            continue;
        }
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let is_inside = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if is_inside || command.contains(folder.to_str().unwrap()) {
            found.push(format!("process {} {command}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

fn lines_with(file: &str, texts: &[&str]) -> Vec<String> {
    let content = fs::read_to_string(file).unwrap();
    content.lines().filter(|line| texts.iter().any(|text| line.contains(text))).map(str::to_owned).collect()
}

fn said_by(program: &str, arguments: &[&str], text: &str) -> Vec<String> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter(|line| line.contains(text)).map(|line| format!("{program}: {line}")).collect()
}

/// Control groups with a name in theirs, at most four folders deep.
fn groups(root: &Path, name: &str) -> Vec<String> {
    fn search(folder: &Path, name: &str, depth: usize, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if !path.is_dir() || path.is_symlink() {
                continue;
            }
            if entry.file_name().to_string_lossy().contains(name) {
                found.push(path.display().to_string());
            }
            if depth > 0 {
                search(&path, name, depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    search(root, name, 3, &mut found);
    found
}
