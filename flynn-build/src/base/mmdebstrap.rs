use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::process::geteuid;
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::child::{Ended, Leash, run_logged};
use super::recipe::CUSTOMIZE;
use super::{BaseKind, BaseSettings, MakeError, Mmdebstrap, Recipe};

const OPERATION: &str = "make base image";

/// Tells the kernel to kill a child when its parent dies.
const SETPRIV: &str = "/usr/bin/setpriv";
/// Puts a program into a process namespace, so that all it started ends with it.
const UNSHARE: &str = "/usr/bin/unshare";

/// An image in a folder that goes when this is dropped.
#[derive(Debug)]
pub(super) struct Made {
    scratch: TempDir,
}

impl Made {
    pub(super) fn archive(&self) -> PathBuf {
        archive(self.scratch.path())
    }

    /// Removes it, which takes a moment.
    pub(super) fn remove(self) -> io::Result<()> {
        self.scratch.close()
    }
}

/// Makes an image in the folder `work`. Nothing that it starts outlives this process; the caller kills it by `leash`
/// and then awaits this.
pub(super) async fn make(
    kind: BaseKind,
    settings: &BaseSettings,
    work: &Path,
    leash: &Arc<Leash>,
    mut report: impl FnMut(String) + Send + 'static,
) -> Result<Made, MakeError> {
    let recipe = Recipe::new(kind, &settings.mmdebstrap)?;
    let Mmdebstrap { program, limit, .. } = &settings.mmdebstrap;
    for (program, package) in
        [(program.as_path(), "mmdebstrap"), (Path::new(SETPRIV), "util-linux"), (Path::new(UNSHARE), "util-linux")]
    {
        if !program.exists() {
            return Err(MakeError::MissingProgram { program: program.to_owned(), package });
        }
    }
    let failed = |error: io::Error| MakeError::unavailable(OPERATION, error);
    let log = settings.directory.join(format!("{}.log", kind.as_str()));
    let (work, mmdebstrap, log_file, held) = (work.to_owned(), settings.mmdebstrap.clone(), log.clone(), leash.clone());
    // The folder of a failed attempt goes here, where it may take its time.
    let mut running = spawn_blocking(move || {
        let scratch = prepare(&work, &recipe, &mmdebstrap)?;
        let command = command(scratch.path(), &recipe, &mmdebstrap);
        let ended = run_logged(command, &log_file, &held, |line| {
            // What names files is for the log.
            if let Some(step) = line.strip_prefix("I: ").filter(|step| !step.contains('/')) {
                report(step.trim_end_matches('.').to_owned());
            }
        })?;
        Ok::<_, io::Error>((ended.status.success().then_some(Made { scratch }), ended))
    });
    let (done, in_time) = match timeout(*limit, &mut running).await {
        Ok(done) => (done, true),
        Err(_) => {
            leash.kill();
            (running.await, false)
        }
    };
    let (made, ended) = done.map_err(io::Error::other).flatten().map_err(failed)?;
    match made {
        Some(made) => Ok(made),
        None if leash.is_cut() => Err(MakeError::Stopped),
        None if in_time => Err(MakeError::Failed { kind, reason: reason(&ended), log }),
        None => Err(MakeError::TimedOut { kind, limit: *limit, log }),
    }
}

/// What mmdebstrap itself calls an error, or else the last that was said.
fn reason(ended: &Ended) -> String {
    let errors: Vec<_> = ended.last.iter().filter_map(|line| line.strip_prefix("E: ")).take(3).collect();
    match (errors.is_empty(), ended.last.back()) {
        (false, _) => errors.join("; "),
        (true, Some(line)) => format!("mmdebstrap: {}: {line}", ended.status),
        (true, None) => format!("mmdebstrap: {}", ended.status),
    }
}

/// A folder with all that mmdebstrap reads and room for what it writes.
fn prepare(work: &Path, recipe: &Recipe, settings: &Mmdebstrap) -> io::Result<TempDir> {
    let scratch = tempfile::Builder::new().prefix("image-").tempdir_in(work)?;
    let path = scratch.path();
    // Without root mmdebstrap becomes another user in a namespace of its own, who has to get here.
    fs::set_permissions(path, Permissions::from_mode(0o711))?;
    fs::create_dir(temporary(path))?;
    fs::set_permissions(temporary(path), Permissions::from_mode(0o1777))?;
    fs::write(sources(path), recipe.sources_list())?;
    fs::write(options(path), apt_options(settings))?;
    fs::write(customize(path), CUSTOMIZE)?;
    fs::set_permissions(customize(path), Permissions::from_mode(0o755))?;
    // A password may be in it.
    fs::set_permissions(options(path), Permissions::from_mode(0o600))?;
    Ok(scratch)
}

fn command(scratch: &Path, recipe: &Recipe, settings: &Mmdebstrap) -> Command {
    let is_root = geteuid().is_root();
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "KILL", "--"]);
    // Without root mmdebstrap makes a process namespace itself.
    if is_root {
        command.args([UNSHARE, "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    }
    command
        .arg(&settings.program)
        .args(["--verbose", "--format=tar", if is_root { "--mode=root" } else { "--mode=unshare" }])
        .args(recipe.arguments())
        .arg(format!("--aptopt={}", options(scratch).display()))
        .arg(format!("--customize-hook={}", customize(scratch).display()))
        .arg(recipe.suite())
        .arg(archive(scratch))
        .arg(sources(scratch))
        .current_dir(scratch)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/nonexistent")
        .env("SOURCE_DATE_EPOCH", recipe.epoch().to_string())
        .env("TMPDIR", temporary(scratch));
    command
}

/// What apt is told that makes no difference to the image.
fn apt_options(settings: &Mmdebstrap) -> String {
    let mut options = String::from("Acquire::Retries \"3\";\n");
    if let Some(file) = &settings.certificates {
        options.push_str(&format!("Acquire::https::CaInfo \"{}\";\n", file.display()));
    }
    if let Some(proxy) = &settings.proxy {
        let proxy = proxy.replace(['"', '\n'], "");
        options.push_str(&format!("Acquire::http::Proxy \"{proxy}\";\nAcquire::https::Proxy \"{proxy}\";\n"));
    }
    options
}

fn archive(scratch: &Path) -> PathBuf {
    scratch.join("root.tar")
}

fn temporary(scratch: &Path) -> PathBuf {
    scratch.join("tmp")
}

fn sources(scratch: &Path) -> PathBuf {
    scratch.join("sources.list")
}

fn options(scratch: &Path) -> PathBuf {
    scratch.join("apt.conf")
}

fn customize(scratch: &Path) -> PathBuf {
    scratch.join("customize.sh")
}
