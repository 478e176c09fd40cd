use std::collections::BTreeMap;
use std::fmt;

use flynn_core::name::ProcessName;

use super::evidence::Evidence;
use super::{GoPlan, NodePlan, Procfile, ProcfileError, PythonPlan, SitePlan, go, node, project, python, site};

/// What is to be built, and what is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What is to be built.
    pub language: Language,
    /// The commands of the process types, to be run by a shell. There are none where the builder knows what to run
    /// once it has built: the server of a site, or what a language's framework is served by.
    pub processes: BTreeMap<ProcessName, String>,
    /// What the author should know, such as that one of two files was preferred.
    pub notes: Vec<String>,
}

/// What an app is written in, with what a builder has to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Language {
    /// Python.
    Python(PythonPlan),
    /// Node.js.
    Node(NodePlan),
    /// Go.
    Go(GoPlan),
    /// Files that are served as they are.
    Site(SitePlan),
    /// Nothing that has to be built: programs and scripts that a `Procfile` names.
    Procfile,
}

/// The languages by name, for an author to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// Python.
    Python,
    /// Node.js.
    Node,
    /// Go.
    Go,
    /// A static site.
    Static,
    /// A `Procfile` alone.
    Procfile,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Python, Self::Node, Self::Go, Self::Static, Self::Procfile];

    /// Its name as an author writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "nodejs",
            Self::Go => "go",
            Self::Static => "static",
            Self::Procfile => "procfile",
        }
    }

    /// The language that is written `text`.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A version of a language that an author asks for, in their own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRequest {
    /// What was written, such as `3.12` or `>=20 <23`.
    pub text: String,
    /// Where.
    pub file: &'static str,
}

/// Why there is no plan. The author of the tree has to change something, and reads what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undetected {
    /// Nothing that is known was found.
    #[error("no language was recognised. Looked for: {}", looked_for.join("; "))]
    Nothing {
        /// What would have been recognised.
        looked_for: Vec<String>,
    },
    /// There are several languages.
    #[error(
        "{} are all possible. Choose one in project.toml:\n\n[[io.buildpacks.group]]\nid = \"{}\"\n",
        list(found),
        found.first().map_or("python", |(kind, _)| kind.as_str())
    )]
    Several {
        /// The languages, each with the file that speaks for it.
        found: Vec<(Kind, &'static str)>,
    },
    /// The language that was chosen is not there.
    #[error("project.toml chooses {kind}, but there is none of {}", needs.join(", "))]
    NotThere {
        /// The language.
        kind: Kind,
        /// The files of which it needs one.
        needs: Vec<&'static str>,
    },
    /// A file cannot be used as it is.
    #[error("{file}: {problem}")]
    Invalid {
        /// The file.
        file: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The `Procfile` cannot be read.
    #[error(transparent)]
    Procfile(#[from] ProcfileError),
    /// Nothing says what to run.
    #[error("it is not said how to start the app: add a Procfile with a line such as `{example}`{}", also(also_found))]
    NoCommand {
        /// A line for this language.
        example: &'static str,
        /// What would have been found by itself.
        also_found: &'static [&'static str],
    },
}

impl Undetected {
    pub(super) fn invalid(file: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { file, problem: problem.into() }
    }
}

fn also(found: &[&str]) -> String {
    if found.is_empty() { String::new() } else { format!(". Without one, these were looked for: {}", found.join("; ")) }
}

fn list(found: &[(Kind, &'static str)]) -> String {
    let words: Vec<_> = found.iter().map(|(kind, file)| format!("{kind} ({file})")).collect();
    words.join(" and ")
}

/// The files of which one speaks for a language, the most telling first.
fn signs(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Python => {
            &["requirements.txt", "uv.lock", "poetry.lock", "Pipfile.lock", "Pipfile", "pyproject.toml", "setup.py"]
        }
        Kind::Node => &["package.json"],
        Kind::Go => &["go.mod"],
        Kind::Static => &["Staticfile", "index.html", "public/index.html"],
        Kind::Procfile => &["Procfile"],
    }
}

/// What starts an app of a language without a `Procfile`, in the order in which it is looked for.
fn starters(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Python => &[
            "manage.py of Django",
            "a line such as `app = Flask(__name__)` or `app = FastAPI()` in wsgi.py, asgi.py, main.py, app.py, \
             app/main.py, app/__init__.py or the like",
        ],
        Kind::Node => &["a script `start` in package.json", "server.js", "the file that `main` names", "index.js"],
        _ => &[],
    }
}

/// Decides what a tree is and how it is run.
///
/// A language counts before a static site, since most have an `index.html` too, unless a `Staticfile` speaks for one;
/// beside a `package.json` that names what its script `build` makes. A choice in `project.toml` counts before
/// everything.
///
/// # Errors
/// Why there is no plan.
pub fn detect(evidence: &Evidence) -> Result<Plan, Undetected> {
    let procfile = read_procfile(evidence)?;
    let serves = procfile.as_ref().is_some_and(|procfile| procfile.processes.keys().any(|name| name.as_str() == "web"));
    let (kind, _) = match project::choice(evidence)? {
        Some(kind) => (kind, sign(evidence, kind).ok_or_else(|| not_there(kind))?),
        None => choose(evidence, serves)?,
    };
    let mut notes = Vec::new();
    // The boolean says whether the builder knows what to run.
    let (language, default, is_known, example) = match kind {
        Kind::Python => {
            let plan = python::plan(evidence, &mut notes)?;
            let is_known = plan.serve.is_some();
            (Language::Python(plan), None, is_known, "web: python serve.py --port $PORT")
        }
        Kind::Node => {
            let (plan, start) = node::plan(evidence, &mut notes)?;
            let is_known = plan.site.is_some();
            (Language::Node(plan), start, is_known, "web: node server.js")
        }
        Kind::Go => (Language::Go(go::plan(evidence)?), None, true, ""),
        Kind::Static => (Language::Site(site::plan(evidence)?), None, true, ""),
        Kind::Procfile => (Language::Procfile, None, false, "web: ./serve"),
    };
    let processes = match (procfile, default) {
        (Some(procfile), _) => procfile.processes,
        (None, Some(command)) => ProcessName::new("web").map(|web| (web, command)).into_iter().collect(),
        (None, None) if is_known => BTreeMap::new(),
        (None, None) => return Err(Undetected::NoCommand { example, also_found: starters(kind) }),
    };
    Ok(Plan { language, processes, notes })
}

fn read_procfile(evidence: &Evidence) -> Result<Option<Procfile>, Undetected> {
    let text = evidence.text("Procfile").map_err(|problem| Undetected::invalid("Procfile", problem))?;
    Ok(text.map(Procfile::parse).transpose()?)
}

fn sign(evidence: &Evidence, kind: Kind) -> Option<&'static str> {
    signs(kind).iter().copied().find(|file| evidence.has(file))
}

fn not_there(kind: Kind) -> Undetected {
    Undetected::NotThere { kind, needs: signs(kind).to_vec() }
}

fn choose(evidence: &Evidence, serves: bool) -> Result<(Kind, &'static str), Undetected> {
    const LANGUAGES: [Kind; 3] = [Kind::Python, Kind::Node, Kind::Go];
    let mut found: Vec<_> = LANGUAGES.into_iter().filter_map(|kind| Some((kind, sign(evidence, kind)?))).collect();
    if evidence.has("Staticfile") && found != [(Kind::Node, "package.json")] {
        found.push((Kind::Static, "Staticfile"));
    }
    match found.as_slice() {
        [only] => Ok(*only),
        [] => {
            let site = sign(evidence, Kind::Static).filter(|_| !serves).map(|file| (Kind::Static, file));
            let script = sign(evidence, Kind::Procfile).map(|file| (Kind::Procfile, file));
            site.or(script).ok_or_else(|| Undetected::Nothing { looked_for: looked_for() })
        }
        _ => Err(Undetected::Several { found }),
    }
}

fn looked_for() -> Vec<String> {
    Kind::ALL.into_iter().map(|kind| format!("{kind} ({})", signs(kind).join(", "))).collect()
}
