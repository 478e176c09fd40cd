use super::PACKAGE;
use super::package::Package;
use crate::detect::evidence::Evidence;
use crate::detect::{Undetected, VersionRequest};

/// What installs the packages of a Node.js app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePackages {
    /// The program.
    pub tool: NodeTool,
    /// The version of it that the app asks for.
    pub asked: Option<VersionRequest>,
    /// The number of the lock file's format, as far as the file tells.
    pub format: Option<u32>,
    /// The lock file; none if nothing holds the versions of the packages.
    pub lock: Option<&'static str>,
}

/// A program that installs packages of Node.js.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeTool {
    /// npm.
    Npm,
    /// yarn 1.
    YarnClassic,
    /// yarn 2 and later.
    YarnBerry,
    /// pnpm.
    Pnpm,
}

impl NodeTool {
    /// Its name as it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::YarnClassic | Self::YarnBerry => "yarn",
            Self::Pnpm => "pnpm",
        }
    }
}

const YARN: &str = ".yarnrc.yml";

/// The lock files, each with the name of what writes it, the one that counts first.
const LOCKS: [(&str, &str); 6] = [
    ("npm-shrinkwrap.json", "npm"),
    ("package-lock.json", "npm"),
    ("yarn.lock", "yarn"),
    ("pnpm-lock.yaml", "pnpm"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
];

/// What `packageManager` says, such as `pnpm@9.1.0`: a name, and a version without the hash that may follow it.
struct Said<'a> {
    name: &'a str,
    version: &'a str,
}

/// Decides by the lock file, then by `packageManager`, else for npm. Of several lock files, `packageManager` chooses.
pub(super) fn packages(
    evidence: &Evidence,
    package: &Package,
    notes: &mut Vec<String>,
) -> Result<NodePackages, Undetected> {
    let said = package.package_manager.as_deref().map(said).transpose()?;
    let mut locks = LOCKS.into_iter().filter(|(file, _)| evidence.has(file)).collect::<Vec<_>>();
    // Both files of npm say the same, and npm itself reads the first.
    locks.dedup_by_key(|(_, name)| *name);
    let lock = match locks.as_slice() {
        [] => None,
        [only] => Some(*only),
        [first, second, ..] => {
            let chosen = said.as_ref().and_then(|said| locks.iter().find(|(_, name)| *name == said.name));
            let Some(chosen) = chosen else {
                let problem = format!(
                    "{} is there as well: remove one of the two, or name the one that counts in `packageManager`",
                    first.0
                );
                return Err(Undetected::invalid(second.0, problem));
            };
            let others = locks.iter().filter(|lock| lock != &chosen).map(|(file, _)| *file).collect::<Vec<_>>();
            notes.push(format!("{} is used, as packageManager says, and {} is not", chosen.0, others.join(", ")));
            Some(*chosen)
        }
    };
    let (file, name) = match (lock, &said) {
        (Some((file, name)), Some(said)) if said.name != name => {
            notes.push(format!("{file} is used, and not the `{}` of packageManager", said.name));
            (Some(file), name)
        }
        (Some((file, name)), _) => (Some(file), name),
        (None, Some(said)) => (None, said.name),
        (None, None) => (None, "npm"),
    };
    let asked = asked(evidence, package, said.as_ref(), name);
    let (tool, format) = tool(evidence, file, name, asked.as_ref())?;
    let asked = asked.map(|asked| asked.request);
    if let Some(file) = file {
        check_merged(evidence, file)?;
    } else {
        let missing = match tool {
            NodeTool::Npm => "package-lock.json",
            NodeTool::YarnClassic | NodeTool::YarnBerry => "yarn.lock",
            NodeTool::Pnpm => "pnpm-lock.yaml",
        };
        notes.push(format!("there is no {missing}, so that each build may install other versions: commit it"));
    }
    Ok(NodePackages { tool, asked, format, lock: file })
}

fn said(text: &str) -> Result<Said<'_>, Undetected> {
    let (name, version) = text.split_once('@').unwrap_or((text, ""));
    let version = version.split('+').next().unwrap_or_default();
    if !["npm", "yarn", "pnpm", "bun"].contains(&name) {
        let problem = format!("`packageManager` is `{text}`: expected npm, yarn or pnpm, such as `pnpm@10.0.0`");
        return Err(Undetected::invalid(PACKAGE, problem));
    }
    Ok(Said { name, version })
}

struct Asked {
    request: VersionRequest,
    is_exact: bool,
}

/// The version of `name` that is asked for: exactly in `packageManager` or by the program that yarn is told to call,
/// else as a range in `engines`.
fn asked(evidence: &Evidence, package: &Package, said: Option<&Said<'_>>, name: &str) -> Option<Asked> {
    let asked = |text: &str, file, is_exact| {
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(Asked { request: VersionRequest { text, file }, is_exact })
    };
    if let Some(asked) = said.filter(|said| said.name == name).and_then(|said| asked(said.version, PACKAGE, true)) {
        return Some(asked);
    }
    if let Some(version) = (name == "yarn").then(|| yarn_path(&evidence.head(YARN))).flatten() {
        return asked(&version, YARN, true);
    }
    asked(package.engines.get(name)?, PACKAGE, false)
}

/// The version of `yarnPath: .yarn/releases/yarn-4.1.0.cjs`.
fn yarn_path(settings: &str) -> Option<String> {
    let path = settings.lines().find_map(|line| line.strip_prefix("yarnPath:"))?;
    let (_, name) = path.trim().trim_matches(['"', '\'']).rsplit_once("yarn-")?;
    let version = name.trim_end_matches(".cjs").trim_end_matches(".js");
    version.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| version.to_owned())
}

/// The tool of that name, and the format of its lock.
fn tool(
    evidence: &Evidence,
    file: Option<&'static str>,
    name: &str,
    asked: Option<&Asked>,
) -> Result<(NodeTool, Option<u32>), Undetected> {
    let head = file.map(|file| evidence.head(file)).unwrap_or_default();
    match name {
        "npm" => Ok((NodeTool::Npm, None)),
        "pnpm" => Ok((NodeTool::Pnpm, number_after(&head, "lockfileVersion:"))),
        "yarn" => {
            let berry = head.contains("__metadata:").then(|| number_after(&head, "version:"));
            let is_known = berry.is_some() || head.contains("# yarn lockfile v1");
            let is_classic = match asked {
                // Of what is merely allowed, the lock says more.
                Some(asked) if asked.is_exact || !is_known => is_first(&asked.request.text),
                _ => berry.is_none(),
            };
            Ok(if is_classic { (NodeTool::YarnClassic, None) } else { (NodeTool::YarnBerry, berry.flatten()) })
        }
        _ => {
            let problem = "only npm, yarn and pnpm are supported: run `npm install` and commit package-lock.json";
            Err(Undetected::invalid(file.unwrap_or(PACKAGE), problem))
        }
    }
}

/// Whether a version or range begins with the first major version: `1.22.22`, `1.x`, `^1.22`.
fn is_first(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits == "1" || digits.starts_with("1.")
}

/// The whole number after the first `label` that begins a line, such as that of `version: 8` or `'9.0'`.
fn number_after(text: &str, label: &str) -> Option<u32> {
    let rest = text.lines().find_map(|line| line.trim_start().strip_prefix(label))?;
    let digits = rest.trim().trim_start_matches(['\'', '"']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// A lock in which two branches meet installs what neither meant.
fn check_merged(evidence: &Evidence, file: &'static str) -> Result<(), Undetected> {
    if evidence.has_conflict(file) {
        let problem = "it has the marks of a merge that was not finished: resolve it, or install again";
        return Err(Undetected::invalid(file, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_formats_are_read() {
        assert_eq!(number_after("lockfileVersion: '9.0'\n", "lockfileVersion:"), Some(9));
        assert_eq!(number_after("lockfileVersion: 5.4\n", "lockfileVersion:"), Some(5));
        assert_eq!(number_after("# x\n\n__metadata:\n  version: 8\n  cacheKey: 10\n", "version:"), Some(8));
        assert_eq!(number_after("version: x\n", "version:"), None);
        assert_eq!(number_after("", "version:"), None);
    }

    #[test]
    fn the_program_of_yarn_tells_its_version() {
        assert_eq!(yarn_path("yarnPath: .yarn/releases/yarn-4.1.0.cjs\n").as_deref(), Some("4.1.0"));
        assert_eq!(yarn_path("a: b\nyarnPath: \".yarn/releases/yarn-3.2.0.cjs\"").as_deref(), Some("3.2.0"));
        assert_eq!(yarn_path("yarnPath: .yarn/releases/yarn-berry.cjs"), None);
        assert_eq!(yarn_path("nodeLinker: node-modules"), None);
    }
}
