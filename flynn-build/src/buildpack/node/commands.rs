//! What is run to install packages, to build, and to take away what only that needed.

use super::tool::keeps_format;
use crate::detect::{NodePackages, NodeTool};

/// `quietly` runs npm without the manual that it prints with an error, which is longer than what it has to say.
/// `classic` runs yarn 1 with a lock that names the registry in use, since that asks the one that the lock was made
/// with. `pn` runs pnpm with its store, which it remembers.
const PRELUDE: &str = r#"
quietly() {
  status=0
  npm "$@" 2>/tmp/errors || status=$?
  sed '/^npm error Clean install a project/,/^npm error Run "npm help/d' /tmp/errors >&2
  return "$status"
}
classic() {
  if [ -f yarn.lock ]; then
    cp yarn.lock /tmp/own.lock
    sed --in-place --regexp-extended "s#https?://registry\.(yarnpkg\.com|npmjs\.org)/#$REGISTRY/#" yarn.lock
  fi
  status=0
  yarn "$@" || status=$?
  if [ -f /tmp/own.lock ]; then cat /tmp/own.lock >yarn.lock; fi
  return "$status"
}
pn() {
  npm_config_store_dir=/cache/pnpm pnpm_config_store_dir=/cache/pnpm pnpm "$@"
}
keep() { :; }
focus() {
  if yarn workspaces focus --help >/dev/null 2>&1; then
    yarn workspaces focus --all --production
  else
    echo "       note: this yarn cannot remove packages for development, which stay"
  fi
}
"#;

/// Installs in the app's own folder, where node looks for packages. Only they stay.
const TAKE_FILES: &str = "cp -R /inputs/. /app/";
const DROP_FILES: &str = r#"cd /inputs; for file in $(ls -A); do rm -f "/app/$file"; done"#;

/// What a package keeps beside itself for its next run is of no use in an image.
const BUILD: &str = r#"
npm run --silent "$SCRIPT"
$PRUNE
rm -rf node_modules/.cache
if [ -n "$SITE" ] && [ ! -f "$SITE/index.html" ]; then
  echo "error: the script $SCRIPT made no $SITE/index.html: name the folder that it fills in a file Staticfile, with a line 'root: FOLDER'"
  exit 1
fi
"#;

/// What is said to the installer, but for its name.
pub(super) fn arguments(packages: &NodePackages, development: bool) -> String {
    let is_locked = packages.lock.is_some();
    match packages.tool {
        NodeTool::Npm => {
            let install = if is_locked { "ci" } else { "install --no-package-lock" };
            format!("{install} {}", if development { "--include=dev" } else { "--omit=dev" })
        }
        NodeTool::YarnClassic => {
            let lock = if is_locked { "--frozen-lockfile" } else { "--no-lockfile" };
            format!("install {lock} --non-interactive --no-progress --production={}", !development)
        }
        NodeTool::YarnBerry => {
            // What an older one wrote is written anew first, which is no change of what it says.
            let is_immutable = is_locked && keeps_format(packages);
            format!("install {}", if is_immutable { "--immutable" } else { "--no-immutable" })
        }
        NodeTool::Pnpm => {
            let lock = if is_locked { "--frozen-lockfile" } else { "--no-lockfile" };
            format!("install {lock} --reporter=append-only{}", if development { "" } else { " --prod" })
        }
    }
}

/// The script that installs: in the tree, or in a place that has the lists of packages alone. It runs
/// [`arguments`], which it finds in `$COMMAND`.
pub(super) fn install(tool: NodeTool, development: bool, is_tree: bool) -> String {
    let run = match (tool, development) {
        (NodeTool::Npm, _) => "quietly $COMMAND",
        (NodeTool::YarnClassic, _) => "classic $COMMAND",
        (NodeTool::YarnBerry, true) => "yarn $COMMAND",
        // It installs for production alone only what was installed, and does not look at the lock then.
        (NodeTool::YarnBerry, false) => "yarn $COMMAND\nfocus",
        (NodeTool::Pnpm, _) => "pn $COMMAND",
    };
    match is_tree {
        true => format!("{PRELUDE}\n{run}"),
        false => format!("{PRELUDE}\n{TAKE_FILES}\n{run}\n{DROP_FILES}"),
    }
}

/// The script that runs the app's own `$SCRIPT`, and [`prune`] afterwards, which it finds in `$PRUNE`.
pub(super) fn build() -> String {
    format!("{PRELUDE}\n{BUILD}")
}

/// What takes packages for development away again.
pub(super) fn prune(packages: &NodePackages, spans: bool) -> &'static str {
    match packages.tool {
        NodeTool::Npm => "npm prune --omit=dev --ignore-scripts",
        NodeTool::YarnClassic if packages.lock.is_some() => {
            "classic install --frozen-lockfile --non-interactive --no-progress --production=true --ignore-scripts \
             --prefer-offline"
        }
        // Without a lock it might take other versions than those that were built with.
        NodeTool::YarnClassic => "keep",
        NodeTool::YarnBerry => "focus",
        // It prunes one folder only.
        NodeTool::Pnpm if spans => "keep",
        NodeTool::Pnpm => "pn prune --prod",
    }
}

/// What the tools are told wherever they run, the app included.
pub(super) fn settings(tool: NodeTool) -> Vec<(&'static str, &'static str)> {
    match tool {
        NodeTool::Npm => Vec::new(),
        NodeTool::YarnClassic => vec![("SKIP_YARN_COREPACK_CHECK", "1"), ("YARN_IGNORE_PATH", "1")],
        NodeTool::YarnBerry => vec![
            ("YARN_ENABLE_GLOBAL_CACHE", "true"),
            ("YARN_ENABLE_TELEMETRY", "false"),
            ("YARN_IGNORE_PATH", "1"),
            // What finds packages otherwise has to be loaded into every process first.
            ("YARN_NODE_LINKER", "node-modules"),
        ],
        NodeTool::Pnpm => vec![("pnpm_config_verify_deps_before_run", "false")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_kept_to_and_its_lack_makes_none() {
        let packages = |tool, lock| NodePackages { tool, asked: None, format: Some(8), lock };
        for (tool, locked, unlocked) in [
            (NodeTool::Npm, "ci ", "--no-package-lock"),
            (NodeTool::YarnClassic, "--frozen-lockfile", "--no-lockfile"),
            (NodeTool::YarnBerry, "--immutable", "--no-immutable"),
            (NodeTool::Pnpm, "--frozen-lockfile", "--no-lockfile"),
        ] {
            for development in [true, false] {
                let with = arguments(&packages(tool, Some("x.lock")), development);
                let without = arguments(&packages(tool, None), development);
                assert!(with.contains(locked) && !with.contains(unlocked), "{with}");
                assert!(without.contains(unlocked), "{without}");
            }
        }
    }

    #[test]
    fn scripts_are_what_a_shell_reads() {
        for tool in [NodeTool::Npm, NodeTool::YarnClassic, NodeTool::YarnBerry, NodeTool::Pnpm] {
            for (development, is_tree) in [(true, true), (true, false), (false, true), (false, false)] {
                let script = install(tool, development, is_tree);
                let read = std::process::Command::new("sh").args(["-nec", &script]).output().unwrap();
                assert!(read.status.success(), "{tool:?}: {}", String::from_utf8_lossy(&read.stderr));
            }
        }
        let read = std::process::Command::new("sh").args(["-nec", &build()]).output().unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    }
}
