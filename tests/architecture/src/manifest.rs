//! What every manifest has to take from the workspace.

use toml::{Table, Value};

/// Packages that may hold unsafe code: they speak to the kernel.
pub const MAY_BE_UNSAFE: [&str; 2] = ["flynn-runtime", "flynn-shim"];

const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "license"];

/// Finds what a package's manifest states for itself instead of taking it from the workspace.
pub fn wrong_manifest(name: &str, manifest: &Table, workspace_lints: &Table) -> Vec<String> {
    let package = manifest.get("package").and_then(Value::as_table);
    let mut findings: Vec<_> = INHERITED
        .iter()
        .filter(|key| !package.is_some_and(|package| inherits(package.get(**key))))
        .map(|key| format!("{name}: write `{key}.workspace = true`"))
        .collect();
    findings.extend(wrong_lints(name, manifest.get("lints"), workspace_lints));
    findings
}

/// Finds a workspace that no longer forbids unsafe code.
pub fn wrong_workspace_lints(lints: &Table) -> Option<String> {
    (unsafe_level(lints) != Some("forbid")).then(|| {
        "the workspace has to say `unsafe_code = \"forbid\"`: a weaker level can be switched off \
         in the source"
            .to_owned()
    })
}

/// A package cannot both take the workspace's lints and change one, so the packages that may be
/// unsafe repeat the table.
fn wrong_lints(name: &str, lints: Option<&Value>, workspace: &Table) -> Option<String> {
    if inherits(lints) {
        return None;
    }
    if !MAY_BE_UNSAFE.contains(&name) {
        return Some(format!("{name}: write `[lints] workspace = true`"));
    }
    let own = lints.and_then(Value::as_table).cloned().unwrap_or_default();
    (without_unsafe(own) != without_unsafe(workspace.clone()))
        .then(|| format!("{name}: its lints may differ from the workspace's in `unsafe_code` alone"))
}

fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool).unwrap_or(false)
}

fn unsafe_level(lints: &Table) -> Option<&str> {
    lints.get("rust")?.get("unsafe_code")?.as_str()
}

fn without_unsafe(mut lints: Table) -> Table {
    if let Some(Value::Table(rust)) = lints.get_mut("rust") {
        rust.remove("unsafe_code");
    }
    lints
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAWFUL: &str = "
        version.workspace = true
        edition.workspace = true
        rust-version.workspace = true
        license.workspace = true
    ";

    fn check(name: &str, package: &str, lints: &str, expect: &[&str]) {
        let workspace: Table = "
            rust = { unsafe_code = 'forbid', missing_docs = 'warn' }
            clippy = { panic = 'warn' }
        "
        .parse()
        .unwrap();
        let manifest = format!("[package]\n{package}\n[lints]\n{lints}");
        let findings = wrong_manifest(name, &manifest.parse().unwrap(), &workspace);
        assert_eq!(findings, expect);
    }

    #[test]
    fn a_package_takes_all_from_the_workspace() {
        check("flynn-core", LAWFUL, "workspace = true", &[]);
    }

    #[test]
    fn a_package_with_its_own_edition_or_licence_is_found() {
        check(
            "flynn-core",
            "version.workspace = true\nedition = '2021'\nrust-version.workspace = true",
            "workspace = true",
            &["flynn-core: write `edition.workspace = true`", "flynn-core: write `license.workspace = true`"],
        );
    }

    #[test]
    fn a_package_with_lints_of_its_own_is_found() {
        for lints in ["", "workspace = false", "rust.unsafe_code = 'allow'"] {
            check("flynn-core", LAWFUL, lints, &["flynn-core: write `[lints] workspace = true`"]);
        }
    }

    #[test]
    fn unsafe_packages_change_one_lint_and_no_other() {
        let lawful = "rust = { unsafe_code = 'warn', missing_docs = 'warn' }
                      clippy = { panic = 'warn' }";
        for name in MAY_BE_UNSAFE {
            check(name, LAWFUL, "workspace = true", &[]);
            check(name, LAWFUL, lawful, &[]);
            check(
                name,
                LAWFUL,
                "rust.unsafe_code = 'warn'",
                &[&format!("{name}: its lints may differ from the workspace's in `unsafe_code` alone")],
            );
        }
    }

    #[test]
    fn a_workspace_that_permits_unsafe_code_is_found() {
        let forbids: Table = "rust.unsafe_code = 'forbid'".parse().unwrap();
        assert_eq!(wrong_workspace_lints(&forbids), None);
        for lints in ["", "rust.unsafe_code = 'deny'"] {
            assert!(wrong_workspace_lints(&lints.parse().unwrap()).is_some());
        }
    }
}
