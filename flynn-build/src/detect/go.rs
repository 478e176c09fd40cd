use super::Undetected;
use super::evidence::Evidence;

const FILE: &str = "go.mod";

/// What a builder has to know of a Go app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoPlan {
    /// The path of its module, such as `example.org/hello`.
    pub module: String,
    /// Whether its packages are in its tree.
    pub vendored: bool,
}

pub(super) fn plan(evidence: &Evidence) -> Result<GoPlan, Undetected> {
    let text = evidence.text(FILE).map_err(|problem| Undetected::invalid(FILE, problem))?.unwrap_or_default();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("module")).unwrap_or_default();
    let module = line.split("//").next().unwrap_or_default().trim().trim_matches(['"', '`']);
    let is_plain = |c: char| c.is_alphanumeric() || "/._-~+".contains(c);
    if module.is_empty() || !module.chars().all(is_plain) {
        return Err(Undetected::invalid(FILE, "there is no line such as `module example.org/hello`"));
    }
    Ok(GoPlan { module: module.to_owned(), vendored: evidence.has("vendor/modules.txt") })
}
