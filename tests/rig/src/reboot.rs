use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flynn_instance::Names;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Ran, Rig, eventually, leaks};

const LIMIT: Duration = Duration::from_secs(30);
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A boot of the machine after the one that it really had: programs see another boot id, in a mount namespace of
/// their own.
#[derive(Debug)]
pub(crate) struct Boot {
    number: u32,
    id: PathBuf,
    /// The mount namespace, once something has been started in it.
    namespace: Option<File>,
}

impl Boot {
    /// A program that is started in this boot.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            Some(namespace) => {
                let mut path = OsString::from("--mount=");
                path.push(format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd()));
                let mut command = Command::new("nsenter");
                command.arg(path).arg(program);
                command
            }
            None => {
                let script = format!("mount --bind \"$0\" {BOOT_ID} && exec \"$@\"");
                let mut command = Command::new("unshare");
                // Nothing that is mounted here is seen elsewhere, and it is gone with the last process.
                command.args(["--mount", "--propagation=slave", "sh", "-c", &script]).arg(&self.id).arg(program);
                command
            }
        }
    }

    /// Keeps the namespace of a process that was started in this boot.
    pub(crate) fn keep(&mut self, pid: u32) {
        if self.namespace.is_none() {
            self.namespace = Some(File::open(format!("/proc/{pid}/ns/mnt")).unwrap());
        }
    }

    /// What is mounted in this boot and belongs to the instance below `place`.
    pub(crate) fn mounts(&self, place: &Path) -> Vec<String> {
        let listed = Ran::of(self.command(Path::new("cat")).arg("/proc/self/mountinfo"));
        let place = place.to_string_lossy();
        let own = |line: &&str| line.contains(place.as_ref()) && !line.contains(BOOT_ID);
        listed.expect("cat mountinfo").lines().filter(own).map(|line| format!("mount {line}")).collect()
    }
}

impl Rig {
    /// Ends the boot of the machine as a power cut does, as far as this instance can tell: every process, mount,
    /// network and control group of it is gone, and so is the run directory. The data are as they were then. What is
    /// started afterwards is in the next boot.
    pub fn cut_power(&mut self) {
        let (names, place) = (self.names(), self.place().to_owned());
        if self.flynnd_runs() {
            self.kill_flynnd();
        }
        eventually("all processes are gone", LIMIT, || {
            let mut pids: BTreeSet<u32> = leaks::processes_of(&place).into_iter().map(|process| process.pid).collect();
            pids.extend(cgroups(&names).iter().flat_map(|path| members(path)));
            for pid in &pids {
                let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw).unwrap();
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
            if pids.is_empty() { Ok(()) } else { Err(pids) }
        });
        for path in cgroups(&names) {
            // The dead leave their group a moment later.
            eventually("the control groups are gone", LIMIT, || fs::remove_dir(&path).or_else(present));
        }
        unmount(&place);
        take_down_networks(&names);
        fs::remove_dir_all(self.layout().run()).unwrap();
        let number = self.boot.take().map_or(1, |boot| boot.number + 1);
        let id = place.join(format!("boot-{number}"));
        fs::write(&id, format!("00000000-0000-4000-8000-{number:012}\n")).unwrap();
        self.boot = Some(Boot { number, id, namespace: None });
    }
}

/// All control groups of the instance, each before the one that it is in.
fn cgroups(names: &Names) -> Vec<PathBuf> {
    fn add(path: PathBuf, all: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                add(entry.path(), all);
            }
        }
        all.push(path);
    }
    let mut all = Vec::new();
    leaks::groups(names).into_iter().for_each(|path| add(path, &mut all));
    all
}

fn members(cgroup: &Path) -> Vec<u32> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn unmount(place: &Path) {
    let place = place.to_string_lossy();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|target| target.contains(&*place));
    for target in targets.collect::<Vec<_>>().into_iter().rev() {
        Ran::of(Command::new("umount").arg("--lazy").arg(target)).expect("umount");
    }
}

fn take_down_networks(names: &Names) {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains(names.key()) {
            // Where it was mounted in another boot, only a file is left.
            Ran::of(Command::new("umount").arg("--lazy").arg(entry.path()));
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for bridge in [names.bridge(), names.build_bridge()] {
        let ports = fs::read_dir(format!("/sys/class/net/{bridge}/brif")).into_iter().flatten().flatten();
        let ports: Vec<_> = ports.map(|port| port.file_name()).collect();
        for link in ports.into_iter().chain([OsString::from(&bridge)]) {
            // A port goes with its namespace.
            Ran::of(Command::new("ip").args(["link", "del"]).arg(link));
        }
        Ran::of(Command::new("nft").args(["delete", "table", "inet", &bridge]));
    }
}

fn present(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
