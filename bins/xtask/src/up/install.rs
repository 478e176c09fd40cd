//! Building the binaries and putting them where the system finds them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::workspace::Workspace;

/// The programs of the platform, each of which finds the others beside itself.
pub(super) const PROGRAMS: &[&str] = &["flynn", "flynnd", "flynn-host", "flynn-router", "flynn-shim"];

const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Where the programs are installed.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    directory: PathBuf,
}

impl Installed {
    pub(super) fn below(prefix: &Path) -> Self {
        Self { directory: prefix.join("bin") }
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Installs those programs that differ from what is built; without a folder of them, it builds them first. Says
    /// whether there were any.
    pub(super) fn update(&self, workspace: &Workspace, built: Option<&Path>) -> Result<bool> {
        let built = match built {
            Some(folder) => folder.to_owned(),
            None => build(workspace)?,
        };
        for name in PROGRAMS {
            ensure!(built.join(name).is_file(), "the program {name} is not in {}", built.display());
        }
        fs::create_dir_all(&self.directory).with_context(|| format!("creating {}", self.directory.display()))?;
        let mut changed = false;
        for name in PROGRAMS {
            changed |= replace(&built.join(name), &self.program(name))?;
        }
        Ok(changed)
    }

    /// Removes the programs. What is not there is no error.
    pub(super) fn remove(&self) -> Result<()> {
        for name in PROGRAMS {
            let path = self.program(name);
            if path.exists() {
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    println!("--- building (some minutes the first time)");
    let mut build = workspace.cargo(["build", "--release", "--locked", "--bins"]);
    for name in PROGRAMS {
        build.args(["--package", workspace.package_of(name)?]);
    }
    process::run(&mut build, LIMIT)?;
    Ok(workspace.target.join("release"))
}

/// A running program cannot be written to, but its name can be given to another file.
fn replace(from: &Path, to: &Path) -> Result<bool> {
    let operation = || format!("installing {}", to.display());
    let content = fs::read(from).with_context(operation)?;
    if fs::read(to).is_ok_and(|installed| installed == content) {
        return Ok(false);
    }
    let fresh = to.with_extension("fresh");
    fs::write(&fresh, content).with_context(operation)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).with_context(operation)?;
    fs::rename(&fresh, to).with_context(operation)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_is_made_from_a_package() {
        let workspace = Workspace::load().unwrap();
        let packages: Vec<_> = PROGRAMS.iter().map(|name| workspace.package_of(name).unwrap()).collect();
        assert_eq!(packages, ["flynn", "flynnd", "flynn-host", "flynn-router-bin", "flynn-shim"]);
        assert!(workspace.package_of("flynn-core").is_err(), "a library is no program");
    }

    #[test]
    fn nothing_is_installed_where_a_program_is_missing() {
        let place = std::env::temp_dir().join(format!("flynn-install-partly-{}", std::process::id()));
        let (built, installed) = (place.join("built"), Installed::below(&place));
        fs::create_dir_all(&built).unwrap();
        for name in PROGRAMS.iter().skip(1) {
            fs::write(built.join(name), name).unwrap();
        }
        let workspace = Workspace::load().unwrap();
        let refused = installed.update(&workspace, Some(&built)).unwrap_err().to_string();
        assert!(refused.contains("the program flynn is not in"), "{refused}");
        assert!(PROGRAMS.iter().all(|name| !installed.program(name).exists()));
        fs::write(built.join("flynn"), "flynn").unwrap();
        assert!(installed.update(&workspace, Some(&built)).unwrap());
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_program_is_replaced_only_if_it_differs() {
        let place = std::env::temp_dir().join(format!("flynn-install-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let (from, to) = (place.join("from"), place.join("to"));
        fs::write(&from, "one").unwrap();
        assert!(replace(&from, &to).unwrap());
        assert!(!replace(&from, &to).unwrap());
        fs::write(&from, "two").unwrap();
        assert!(replace(&from, &to).unwrap());
        assert_eq!(fs::read_to_string(&to).unwrap(), "two");
        assert_eq!(fs::read_dir(&place).unwrap().count(), 2);
        fs::remove_dir_all(&place).unwrap();
    }
}
