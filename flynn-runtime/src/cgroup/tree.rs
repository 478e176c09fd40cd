use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{CgroupParent, CgroupPath};

/// Which control groups a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One hierarchy for each controller.
    V1,
    /// As `V1`, with an empty version 2 hierarchy beside them.
    Hybrid,
    /// One hierarchy for all.
    V2,
}

/// How the kernel lets swap of a group be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SwapLimit {
    /// Not at all: it does not count it.
    Unknown,
    /// Together with memory.
    Together,
    /// By itself.
    Apart,
}

/// The hierarchies of control groups of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    hierarchies: Vec<Hierarchy>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    root: PathBuf,
    unified: bool,
    memory: bool,
    freezer: bool,
}

/// Between two looks at a group that is being emptied.
const PAUSE: Duration = Duration::from_millis(5);
/// Looks at such a group, which makes four seconds at least.
const LOOKS: u32 = 800;

impl Cgroups {
    /// What is mounted on this machine.
    ///
    /// # Errors
    /// `/proc` cannot be read, or no control groups are mounted.
    pub fn detect() -> io::Result<Self> {
        Self::read(&fs::read_to_string("/proc/self/mountinfo")?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "no control groups are mounted"))
    }

    fn read(mountinfo: &str) -> Option<Self> {
        let mut hierarchies = Vec::new();
        for line in mountinfo.lines() {
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(3);
            let (source, target) = (left.next()?, left.next()?);
            let mut right = right.split(' ');
            let (kind, options) = (right.next()?, right.nth(1)?);
            // A part of a hierarchy that is mounted elsewhere is not ours to work through.
            let seen = hierarchies.iter().any(|known: &Hierarchy| known.root == Path::new(target));
            if source != "/" || seen || !matches!(kind, "cgroup" | "cgroup2") {
                continue;
            }
            let has = |name: &str| options.split(',').any(|option| option == name);
            hierarchies.push(Hierarchy {
                root: target.into(),
                unified: kind == "cgroup2",
                memory: has("memory"),
                freezer: has("freezer"),
            });
        }
        (!hierarchies.is_empty()).then_some(Self { hierarchies })
    }

    /// Which kind they are.
    pub fn mode(&self) -> Mode {
        match (self.hierarchies.iter().any(|one| one.unified), self.hierarchies.iter().any(|one| !one.unified)) {
            (true, false) => Mode::V2,
            (true, true) => Mode::Hybrid,
            _ => Mode::V1,
        }
    }

    /// How swap of groups can be limited. On version 2 the root of a machine has no limits itself, but groups below it
    /// have; that of a container has them at once.
    pub(crate) fn swap_limit(&self) -> SwapLimit {
        let has = |name: &str, place: &Path| place.join(name).exists();
        let apart = |one: &Hierarchy| {
            let below = subgroups(&one.root).unwrap_or_default();
            below.iter().chain([&one.root]).any(|place| has("memory.swap.max", place))
        };
        if self.hierarchies.iter().any(|one| one.memory && has("memory.memsw.limit_in_bytes", &one.root)) {
            SwapLimit::Together
        } else if self.mode() == Mode::V2 && self.hierarchies.iter().any(apart) {
            SwapLimit::Apart
        } else {
            SwapLimit::Unknown
        }
    }

    /// The folders of the group of a job, one in each hierarchy that has it.
    pub fn folders(&self, path: &CgroupPath) -> Vec<PathBuf> {
        self.places(&path.relative()).map(|(_, place)| place).collect()
    }

    fn places(&self, relative: &Path) -> impl Iterator<Item = (&Hierarchy, PathBuf)> {
        let relative = relative.to_owned();
        self.hierarchies.iter().map(move |one| (one, one.root.join(&relative))).filter(|(_, place)| place.is_dir())
    }

    /// The processes in the group of a job and in the groups below it.
    ///
    /// # Errors
    /// A group cannot be read.
    pub fn pids(&self, path: &CgroupPath) -> io::Result<Vec<u32>> {
        let mut pids = Vec::new();
        for (_, place) in self.places(&path.relative()) {
            collect(&place, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// How often the kernel killed a process of this job for its memory limit.
    ///
    /// # Errors
    /// The group has no memory controller, or is gone.
    pub fn oom_kills(&self, path: &CgroupPath) -> io::Result<u64> {
        let mut kills = Err(io::Error::new(io::ErrorKind::NotFound, "there is no memory controller"));
        for (hierarchy, place) in self.places(&path.relative()) {
            let file = match hierarchy {
                Hierarchy { unified: true, .. } => "memory.events",
                Hierarchy { memory: true, .. } => "memory.oom_control",
                _ => continue,
            };
            if let Ok(text) = fs::read_to_string(place.join(file)) {
                let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
                let known: u64 = *kills.as_ref().unwrap_or(&0);
                kills = Ok(known + count.unwrap_or(0));
            }
        }
        kills
    }

    /// Kills all processes of a job and takes its groups away. Groups that are not there are no error. It
    /// may block for some seconds.
    ///
    /// # Errors
    /// Processes that do not die, or groups that cannot be removed; the call can be repeated.
    pub fn destroy(&self, path: &CgroupPath) -> io::Result<()> {
        let relative = path.relative();
        for (hierarchy, place) in self.places(&relative) {
            if hierarchy.unified {
                // Kernels before 5.14 have no such file; the loop below does the same more slowly.
                let _ = fs::write(place.join("cgroup.kill"), "1");
            }
        }
        for _ in 0..LOOKS {
            let pids = self.pids(path)?;
            // A process may have come in since: one that was making the job, and joins one hierarchy after the other.
            if pids.is_empty() && self.remove(&relative)? {
                return Ok(());
            }
            for pid in pids {
                self.kill_member(path, pid)?;
            }
            self.thaw(&relative);
            std::thread::sleep(PAUSE);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("{path} is not empty: processes in it do not die")))
    }

    /// Takes the groups away, and says whether none is left. One with a process in it stays.
    fn remove(&self, relative: &Path) -> io::Result<bool> {
        let mut gone = true;
        for (_, place) in self.places(relative) {
            gone &= remove(&place)?;
        }
        Ok(gone)
    }

    /// A number read from a group may name another process by the time it is used. So the process is pinned
    /// first, and killed only if the number is still in the group.
    fn kill_member(&self, path: &CgroupPath, pid: u32) -> io::Result<()> {
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        let Ok(process) = pidfd_open(number, PidfdFlags::empty()) else {
            return Ok(());
        };
        if self.pids(path)?.contains(&pid) {
            // One that has just ended is as good.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
        Ok(())
    }

    /// A frozen process does not die in version 1.
    fn thaw(&self, relative: &Path) {
        for (hierarchy, place) in self.places(relative) {
            if hierarchy.freezer {
                // If it cannot be thawed, its processes stay and are reported.
                let _ = fs::write(place.join("freezer.state"), "THAWED");
            }
        }
    }

    /// The names of the groups directly below the parent, in any hierarchy.
    ///
    /// # Errors
    /// A group cannot be read.
    pub fn below(&self, parent: &CgroupParent) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for (_, place) in self.places(parent.relative()) {
            names.extend(
                subgroups(&place)?.into_iter().filter_map(|group| Some(group.file_name()?.to_str()?.to_owned())),
            );
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Takes the parent away if nothing is below it. One that is in use stays, and that is no error.
    pub fn remove_parent(&self, parent: &CgroupParent) {
        for (_, place) in self.places(parent.relative()) {
            // The kernel refuses if there is a process or a group in it.
            let _ = fs::remove_dir(&place);
        }
    }
}

fn collect(place: &Path, pids: &mut Vec<u32>) -> io::Result<()> {
    let text = match fs::read_to_string(place.join("cgroup.procs")) {
        Err(error) if is_gone(&error) => return Ok(()),
        other => other?,
    };
    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    subgroups(place)?.iter().try_for_each(|group| collect(group, pids))
}

fn subgroups(place: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(place) {
        Err(error) if is_gone(&error) => return Ok(vec![]),
        other => other?,
    };
    let mut groups = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            groups.push(entry.path());
        }
    }
    Ok(groups)
}

/// Whether the group and all below it are gone.
fn remove(place: &Path) -> io::Result<bool> {
    for group in subgroups(place)? {
        if !remove(&group)? {
            return Ok(false);
        }
    }
    match fs::remove_dir(place) {
        Ok(()) => Ok(true),
        Err(error) if is_gone(&error) => Ok(true),
        // A process that has died leaves its group a moment later.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

#[cfg(test)]
mod tests {
    use flynn_core::{Ids, Timestamp};

    use super::*;

    const HYBRID: &str = "\
25 20 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
27 25 0:24 / /sys/fs/cgroup/freezer rw,relatime shared:3 - cgroup cgroup rw,freezer
28 25 0:25 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
29 25 0:23 /part /elsewhere rw,relatime - cgroup cgroup rw,memory
";

    #[test]
    fn the_kinds_of_hierarchies_are_told_apart() {
        let mode = |text: &str| Cgroups::read(text).map(|cgroups| cgroups.mode());
        assert_eq!(mode(HYBRID), Some(Mode::Hybrid));
        let lines: Vec<_> = HYBRID.lines().collect();
        assert_eq!(mode(&lines[..3].join("\n")), Some(Mode::V1));
        assert_eq!(mode(lines[3]), Some(Mode::V2));
        assert_eq!(mode(lines[0]), None);
        assert_eq!(Cgroups::read(HYBRID).unwrap().hierarchies.len(), 3);
    }

    /// A tree of plain files, as version 2 would show it.
    #[test]
    fn version_2_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let hierarchy = Hierarchy { root: directory.path().to_owned(), unified: true, memory: false, freezer: false };
        let cgroups = Cgroups { hierarchies: vec![hierarchy] };
        let path = "/ours".parse::<CgroupParent>().unwrap().job(Ids::seeded(1).next(Timestamp::EPOCH));
        assert_eq!(cgroups.pids(&path).unwrap(), [0; 0]);
        assert!(cgroups.oom_kills(&path).is_err());

        let place = directory.path().join(path.relative());
        fs::create_dir_all(place.join("inner")).unwrap();
        fs::write(place.join("cgroup.procs"), "12\n34\n").unwrap();
        fs::write(place.join("inner/cgroup.procs"), "56\n").unwrap();
        fs::write(place.join("memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 9\n").unwrap();
        assert_eq!(cgroups.pids(&path).unwrap(), [12, 34, 56]);
        assert_eq!(cgroups.oom_kills(&path).unwrap(), 2);
        assert_eq!(cgroups.folders(&path), [place]);
    }

    /// Trees of plain files, as kernels show them that count swap, and as others do.
    #[test]
    fn it_is_known_how_swap_is_limited() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let hierarchy = |unified: bool| Hierarchy { root: root.to_owned(), unified, memory: !unified, freezer: false };
        let of = |hierarchies: Vec<Hierarchy>| Cgroups { hierarchies }.swap_limit();
        let (v1, v2) = (|| of(vec![hierarchy(false)]), || of(vec![hierarchy(true)]));
        fs::create_dir(root.join("system.slice")).unwrap();
        fs::write(root.join("memory.limit_in_bytes"), "").unwrap();
        fs::write(root.join("system.slice/memory.max"), "").unwrap();
        assert_eq!((v1(), v2()), (SwapLimit::Unknown, SwapLimit::Unknown));
        fs::write(root.join("system.slice/memory.swap.max"), "").unwrap();
        assert_eq!((v1(), v2()), (SwapLimit::Unknown, SwapLimit::Apart));
        fs::write(root.join("memory.memsw.limit_in_bytes"), "").unwrap();
        assert_eq!(v1(), SwapLimit::Together);
        // Beside version 1, version 2 has no controllers.
        fs::remove_file(root.join("memory.memsw.limit_in_bytes")).unwrap();
        assert_eq!(of(vec![hierarchy(false), hierarchy(true)]), SwapLimit::Unknown);
    }
}
