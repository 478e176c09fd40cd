//! The rules, applied to this repository.

use anyhow::{Context, Result, ensure};
use architecture::repository::{Package, Repository};
use architecture::{edges, manifest, tidy};
use toml::{Table, Value};

fn hold(findings: Vec<String>) -> Result<()> {
    ensure!(findings.is_empty(), "\n{}", findings.join("\n"));
    Ok(())
}

fn core(repository: &Repository) -> Result<&Package> {
    repository.packages().iter().find(|package| package.name == edges::CORE).context("the workspace has no flynn-core")
}

fn workspace_lints(repository: &Repository) -> Result<Table> {
    let root = repository.manifest("")?;
    let lints = root.get("workspace").and_then(|table| table.get("lints"));
    let lints = lints.and_then(Value::as_table).cloned();
    lints.context("the root manifest has no [workspace.lints]")
}

#[test]
fn dependencies_form_a_star() -> Result<()> {
    let repository = Repository::open()?;
    let edges = edges::edges(repository.packages());
    hold(edges::wrong_edges(&edges))
}

#[test]
fn every_package_has_its_place() -> Result<()> {
    hold(edges::misplaced(Repository::open()?.packages()))
}

#[test]
fn the_core_is_light_without_features() -> Result<()> {
    let repository = Repository::open()?;
    hold(edges::unlisted_core_dependencies(core(&repository)?))
}

#[test]
fn manifests_take_the_rules_of_the_workspace() -> Result<()> {
    let repository = Repository::open()?;
    let lints = workspace_lints(&repository)?;
    let mut findings = Vec::from_iter(manifest::wrong_workspace_lints(&lints));
    for package in repository.packages() {
        let table = repository.manifest(&package.location)?;
        findings.extend(manifest::wrong_manifest(&package.name, &table, &lints));
    }
    hold(findings)
}

#[test]
fn files_are_short_and_name_no_machine() -> Result<()> {
    let repository = Repository::open()?;
    let mut findings = Vec::new();
    for path in repository.tracked()? {
        if let Some(text) = repository.text(&path)? {
            findings.extend(tidy::too_long(&path, &text));
            findings.extend(tidy::machine_mentions(&path, &text));
        }
    }
    hold(findings)
}

#[test]
fn names_say_what_is_inside() -> Result<()> {
    let paths = Repository::open()?.tracked()?;
    hold(paths.iter().filter_map(|path| tidy::empty_name(path)).collect())
}
