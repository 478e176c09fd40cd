use super::PACKAGE;
use super::package::Package;
use crate::detect::evidence::Evidence;
use crate::detect::{Undetected, VersionRequest};

/// `engines.node` counts before `.nvmrc` and `.node-version`.
pub(super) fn version(
    evidence: &Evidence,
    package: &Package,
    notes: &mut Vec<String>,
) -> Result<Option<VersionRequest>, Undetected> {
    let files = [".nvmrc", ".node-version"];
    if let Some(text) = package.engines.get("node") {
        if let Some(file) = files.iter().find(|file| evidence.has(file)) {
            notes.push(format!("engines.node of package.json is used, and {file} is not"));
        }
        return Ok(Some(VersionRequest { text: text.trim().to_owned(), file: PACKAGE }));
    }
    for file in files {
        let Some(text) = evidence.text(file).map_err(|problem| Undetected::invalid(file, problem))? else {
            continue;
        };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let is_word = |line: &&str| line.bytes().all(|b| b.is_ascii_alphanumeric() || b"./*-".contains(&b));
        return match (lines.next().filter(is_word), lines.next()) {
            (Some(line), None) => Ok(Some(VersionRequest { text: line.to_owned(), file })),
            _ => Err(Undetected::invalid(file, "expected one line such as `22` or `v22.11.0`")),
        };
    }
    Ok(None)
}
