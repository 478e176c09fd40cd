use super::Undetected;
use super::evidence::Evidence;
use crate::source::TreePath;

const FILE: &str = "Staticfile";

/// What a server has to know of a static site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePlan {
    /// The folder that is served; none is the whole tree.
    pub root: Option<TreePath>,
    /// Whether `index.html` is served for what is not there, since a script in it knows the pages.
    pub one_page: bool,
}

/// The folder that `Staticfile` names with `root: FOLDER`; else the whole tree if it has an `index.html`, else `public`.
pub(super) fn plan(evidence: &Evidence) -> Result<SitePlan, Undetected> {
    let root = match named(evidence)? {
        Some(root) => root,
        None if evidence.has("index.html") => None,
        None if evidence.has("public/index.html") => TreePath::new("public").ok(),
        None => None,
    };
    let index = root.as_ref().map_or_else(|| "index.html".to_owned(), |root| format!("{}/index.html", root.as_str()));
    if !evidence.has(&index) {
        return Err(Undetected::invalid(FILE, format!("there is no {index}: name the folder with `root: FOLDER`")));
    }
    Ok(SitePlan { root, one_page: false })
}

/// The folder that `Staticfile` names and that a build fills.
pub(super) fn built(evidence: &Evidence) -> Result<SitePlan, Undetected> {
    let missing = || Undetected::invalid(FILE, "name the folder that the build fills with `root: FOLDER`");
    Ok(SitePlan { root: named(evidence)?.ok_or_else(missing)?, one_page: false })
}

/// What `Staticfile` names; none if it names nothing, and none inside if it names the whole tree.
fn named(evidence: &Evidence) -> Result<Option<Option<TreePath>>, Undetected> {
    let text = evidence.text(FILE).map_err(|problem| Undetected::invalid(FILE, problem))?.unwrap_or_default();
    let mut root = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |problem: &str| Undetected::invalid(FILE, format!("line {}: {problem}", index + 1));
        let Some(folder) = line.strip_prefix("root:").map(str::trim).filter(|folder| !folder.is_empty()) else {
            return Err(wrong("only `root: FOLDER` is supported"));
        };
        if root.is_some() {
            return Err(wrong("`root` is there twice"));
        }
        root = Some(TreePath::from_archive(folder).map_err(wrong)?);
    }
    Ok(root)
}
