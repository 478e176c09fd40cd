//! What a container is kept from.

use std::collections::BTreeMap;
use std::fs;

use flynn_core::JobId;
use flynn_core::noun::Exit;
use flynn_core::port::{Exec, Mount, MountSource, Process, Runtime, Secret};
use tokio::io::AsyncReadExt;

use super::{RuntimeHarness, World};

const STATUS: &str = "cat /proc/self/status; ulimit -n; ulimit -c; id -u; id -g; cat /proc/self/cgroup";

async fn exec<H: RuntimeHarness>(world: &World<H>, job: JobId, process: Process) -> (String, Exit) {
    let mut session = world.runtime.exec(job, process).await.unwrap();
    let mut text = String::new();
    session.output.read_to_string(&mut text).await.unwrap();
    (text, session.control.wait().await.unwrap())
}

/// The lines of `/proc/self/status` by their names, and what follows them.
fn parse(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let (named, rest): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains(":\t"));
    let named = named.iter().map(|line| line.split_once(":\t").unwrap());
    let named = named.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    (named, rest.into_iter().map(str::to_owned).collect())
}

async fn check_confinement<H: RuntimeHarness>(world: &World<H>, user: u32, capabilities: &str) {
    let job = world.job();
    let mut spec = world.script(job, &format!("{STATUS}; echo over; sleep 1000"));
    spec.process.user = (user, user);
    world.start(job, spec).await;
    world.logged(job, "over").await;
    let first = world.output(job).join("\n").replace("\nover", "");
    let further = Process { user: (user, user), ..world.process(job, STATUS) };
    let (further, exit) = exec(world, job, further).await;
    assert_eq!(exit, Exit::Code(0));
    let mut checked = Vec::new();
    for text in [&first, &further] {
        let (status, rest) = parse(text);
        let field = |name: &str| status[name].clone();
        assert_eq!(field("Seccomp"), "2");
        assert_eq!(field("NoNewPrivs"), "1");
        assert_eq!(field("Uid"), [user.to_string().as_str(); 4].join("\t"));
        assert_eq!(field("Gid"), [user.to_string().as_str(); 4].join("\t"));
        assert_eq!(field("Groups").replace('0', ""), "");
        for name in ["CapEff", "CapPrm", "CapBnd"] {
            assert_eq!(field(name), capabilities, "{name}");
        }
        for name in ["CapInh", "CapAmb"] {
            assert_eq!(field(name), "0000000000000000", "{name}");
        }
        assert_eq!(field("SigBlk"), "0000000000000000");
        let ignored = u64::from_str_radix(&field("SigIgn"), 16).unwrap();
        assert_eq!(ignored & (1 << 12), 0, "SIGPIPE is ignored");
        let files: u64 = rest[0].parse().unwrap();
        assert!((1..=65_536).contains(&files), "{files}");
        assert_eq!(rest[1..4], ["0".to_owned(), user.to_string(), user.to_string()]);
        checked.push((rest, status["Seccomp_filters"].clone()));
    }
    // Limits and groups are the same, whatever they are.
    assert_eq!(checked[0], checked[1]);
}

/// System call filter, privileges, user, capabilities, limits and control groups are the same in both.
pub async fn first_and_further_processes_are_confined_alike<H: RuntimeHarness>(world: &World<H>) {
    check_confinement(world, 1000, "0000000000000000").await;
}

/// The same for an image that is trusted with root.
pub async fn a_trusted_root_is_confined_too<H: RuntimeHarness>(world: &World<H>) {
    check_confinement(world, 0, "00000000800405fb").await;
}

/// It is the first program of its own world, and sees no other and no mount of the node. A runtime may have a process
/// of its own before it.
pub async fn it_sees_only_itself<H: RuntimeHarness>(world: &World<H>) {
    let (job, _) = world.run_to_end("echo $$; ls /proc | grep -c '^[0-9]'; cat /proc/self/mountinfo").await;
    let output = world.output(job);
    assert!(output[0].parse::<u32>().unwrap() <= 2, "{}", output[0]);
    assert!(output[1].parse::<u32>().unwrap() <= 5, "{}", output[1]);
    for line in &output[2..] {
        let target = line.split(' ').nth(4).unwrap();
        let known = ["/", "/proc", "/dev", "/sys"].contains(&target);
        assert!(
            known || target.starts_with("/proc/") || target.starts_with("/dev/") || target.starts_with("/sys/"),
            "{line}"
        );
    }
}

/// Its host name is the one it was given.
pub async fn it_has_a_host_name_of_its_own<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    let mut spec = world.script(job, "hostname; hostname other 2>/dev/null || echo refused");
    spec.hostname = "web-1".to_owned();
    world.start(job, spec).await;
    world.exit(job).await;
    assert_eq!(world.output(job), ["web-1", "refused"]);
}

/// Without a network to join it has none.
pub async fn it_has_no_network_but_its_own<H: RuntimeHarness>(world: &World<H>) {
    let (job, _) = world.run_to_end("ls /sys/class/net; ip route | wc -l").await;
    let output = world.output(job);
    assert!(output.contains(&"lo".to_owned()), "{output:?}");
    assert!(!output.iter().any(|line| line.starts_with("eth") || line.starts_with("veth")), "{output:?}");
    assert_eq!(output.last().map(String::as_str), Some("0"));
}

/// Mounts, namespaces, devices, kernel settings and the clock are out of reach, for a trusted root too.
pub async fn dangerous_calls_are_refused<H: RuntimeHarness>(world: &World<H>) {
    let refused = [
        "mount -t tmpfs none /tmp",
        "umount /proc",
        "unshare -m true",
        "unshare -U true",
        "unshare -n true",
        "mknod /tmp/sda b 8 0",
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "date -s 2001-01-01; test $(date +%Y) = 2001",
        "chmod 777 /sys/kernel",
        "nsenter -t 1 -m true",
        "ip link add type dummy",
        "dmesg -c | grep -q .",
    ];
    for user in [0, 1000] {
        let job = world.job();
        // What is there outside for certain, the job's own directory, is not there by any way inside.
        let outside = world.directory(job);
        let ways = ["", "/proc/1/root", "/proc/1/root/../..", "/proc/self/root/../.."];
        let looks = ways.map(|way| format!("ls {way}{}", outside.display()));
        let attempts: Vec<_> = refused.iter().copied().chain(looks.iter().map(String::as_str)).collect();
        let script = attempts.iter().map(|attempt| format!("({attempt}) >/dev/null 2>&1 && echo \"{attempt}\""));
        let script = script.collect::<Vec<_>>().join("; ");
        let mut spec = world.script(job, &format!("{script}; echo over"));
        spec.process.user = (user, user);
        world.start(job, spec).await;
        assert!(outside.is_dir(), "there is nothing to look for in {}", outside.display());
        world.exit(job).await;
        assert_eq!(world.output(job), ["over"], "as {user}");
    }
}

/// Kernel files that say or do too much are empty or read-only.
pub async fn the_kernel_is_masked<H: RuntimeHarness>(world: &World<H>) {
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list; do [ -e $f ] && wc -c < $f; done;
        for d in /proc/acpi /proc/scsi /sys/firmware; do [ -d $d ] && ls $d | wc -l; done;
        touch /proc/sys/x /sys/x 2>/dev/null || echo read-only; ls /dev | tr '\\n' ' '";
    let job = world.job();
    let mut spec = world.script(job, script);
    spec.process.user = (0, 0);
    world.start(job, spec).await;
    world.exit(job).await;
    let output = world.output(job);
    let (devices, masked) = output.split_last().unwrap();
    assert_eq!(masked.last().map(String::as_str), Some("read-only"));
    assert!(masked[..masked.len() - 1].iter().all(|size| size == "0"), "{masked:?}");
    for device in devices.split_whitespace() {
        let known = [
            "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
            "urandom", "zero", "console",
        ];
        assert!(known.contains(&device), "{device}");
    }
}

fn bind(source: &std::path::Path, target: &str, read_only: bool) -> Mount {
    Mount { source: MountSource::Bind(source.to_owned()), target: target.into(), read_only }
}

fn root_directory(spec: &flynn_core::port::ContainerSpec) -> std::path::PathBuf {
    match &spec.root[0].source {
        MountSource::Bind(path) => path.clone(),
        other => panic!("the harness is expected to bind a directory, not {other:?}"),
    }
}

/// A read-only root stays as it is, even where mount points are missing in it.
pub async fn a_read_only_root_is_not_changed<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    let mut spec = world.script(job, "touch /new || echo refused; ls /brand/new/place && echo mounted");
    spec.process.user = (0, 0);
    let root = root_directory(&spec);
    let list = || fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let before = list();
    spec.mounts = vec![Mount {
        source: MountSource::Tmpfs { bytes: 1 << 20 },
        target: "/brand/new/place".into(),
        read_only: false,
    }];
    world.start(job, spec).await;
    world.exit(job).await;
    assert_eq!(world.output(job), ["refused", "mounted"]);
    assert_eq!(list(), before);
}

/// Layers are seen as one; what is written goes to the upper directory and to no layer.
pub async fn a_writable_root_is_written<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    let place = tempfile_beside(world);
    let [extra, upper, work] = ["ex:tra", "up,per", "work"].map(|name| place.join(name));
    for directory in [&extra, &upper, &work] {
        fs::create_dir(directory).unwrap();
    }
    fs::write(extra.join("added"), "from a layer\n").unwrap();
    let mut spec = world.script(job, "cat /added; echo changed > /added; echo new > /new; cat /added /new");
    spec.process.user = (0, 0);
    let lower = vec![root_directory(&spec), extra.clone()];
    let source = MountSource::Overlay { lower, upper: upper.clone(), work };
    spec.root = vec![Mount { source, target: "/".into(), read_only: false }];
    world.start(job, spec).await;
    assert_eq!(world.exit(job).await, Exit::Code(0));
    assert_eq!(world.output(job), ["from a layer", "changed", "new"]);
    assert_eq!(fs::read_to_string(extra.join("added")).unwrap(), "from a layer\n");
    assert_eq!(fs::read_to_string(upper.join("new")).unwrap(), "new\n");
    world.runtime.remove(job).await.unwrap();
    fs::remove_dir_all(place).unwrap();
}

fn tempfile_beside<H: RuntimeHarness>(world: &World<H>) -> std::path::PathBuf {
    let place = world.harness.watched().directory.join("volumes");
    fs::create_dir_all(&place).unwrap();
    place
}

/// A volume keeps what is written to it; a read-only one refuses.
pub async fn volumes_are_mounted<H: RuntimeHarness>(world: &World<H>) {
    let place = tempfile_beside(world);
    fs::write(place.join("old"), "kept\n").unwrap();
    let job = world.job();
    let mut spec = world.script(job, "cat /data/old; echo more > /data/new; touch /fixed/x || echo refused");
    spec.process.user = (0, 0);
    spec.mounts = vec![bind(&place, "/data", false), bind(&place, "/fixed", true)];
    world.start(job, spec).await;
    assert_eq!(world.exit(job).await, Exit::Code(0));
    assert_eq!(world.output(job), ["kept", "refused"]);
    assert_eq!(fs::read_to_string(place.join("new")).unwrap(), "more\n");
    world.runtime.remove(job).await.unwrap();
    fs::remove_dir_all(place).unwrap();
}

/// Neither process inherits a descriptor beyond the three.
pub async fn no_descriptor_is_left_open<H: RuntimeHarness>(world: &World<H>) {
    // Listed by a child, so that the list has no descriptor for itself.
    let script = "ls /proc/$$/fd; true";
    let job = world.run(&format!("{script}; echo over; sleep 1000")).await;
    world.logged(job, "over").await;
    let first = world.output(job);
    let (further, _) = exec(world, job, world.process(job, script)).await;
    assert_eq!(first, ["0", "1", "2", "over"]);
    assert_eq!(further.lines().collect::<Vec<_>>(), ["0", "1", "2"]);
}

/// A working directory that names a descriptor of whoever sets the container up leads nowhere outside
/// (CVE-2024-21626).
pub async fn a_working_directory_is_inside<H: RuntimeHarness>(world: &World<H>) {
    assert!(fs::exists("/etc/os-release").unwrap(), "the node has a file that the image lacks");
    let script = "[ -e ../../../../../../../../../../../../etc/os-release ] && echo escaped; echo over";
    let running = world.run("echo ready; sleep 1000").await;
    world.logged(running, "ready").await;
    for number in 3..24 {
        let directory = std::path::PathBuf::from(format!("/proc/self/fd/{number}"));
        let job = world.job();
        let mut spec = world.script(job, script);
        spec.process.user = (0, 0);
        spec.process.directory = directory.clone();
        if world.runtime.create(job, spec).await.is_ok() && world.runtime.start(job).await.is_ok() {
            world.exit(job).await;
            assert_ne!(world.output(job), ["escaped", "over"], "first process, descriptor {number}");
        }
        world.runtime.remove(job).await.unwrap();
        let process = Process { directory, user: (0, 0), ..world.process(running, script) };
        if let Ok(mut session) = world.runtime.exec(running, process).await {
            let mut text = String::new();
            session.output.read_to_string(&mut text).await.unwrap();
            assert!(!text.contains("escaped"), "further process, descriptor {number}");
        }
    }
}

/// No environment is found in any file of the job.
pub async fn secrets_are_not_written_to_disk<H: RuntimeHarness>(world: &World<H>) {
    const SECRET: &str = "correct-horse-battery";
    let job = world.job();
    let mut spec = world.script(job, "sleep 1000");
    spec.process.env.insert("TOKEN".to_owned(), Secret::new(SECRET));
    world.start(job, spec).await;
    let mut process = world.process(job, "echo $TOKEN");
    process.env.insert("TOKEN".to_owned(), Secret::new(SECRET));
    assert_eq!(exec(world, job, process).await.0.trim(), SECRET);
    let mut files = 0;
    let mut directories = vec![world.harness.watched().directory];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else if entry.file_type().unwrap().is_file() {
                files += 1;
                let content = fs::read(entry.path()).unwrap();
                assert!(!String::from_utf8_lossy(&content).contains(SECRET), "{}", entry.path().display());
            }
        }
    }
    assert!(files > 2, "{files}");
}
