//! Who may depend on whom: a star with flynn-core in the middle.

use std::collections::BTreeMap;

use crate::repository::{Dependency, Kind, Package};

/// The crate at the centre of the star.
pub const CORE: &str = "flynn-core";

/// The crates around it. They meet in flynn-core's ports and never import each other.
pub const SIBLINGS: [&str; 4] = ["flynn-build", "flynn-router", "flynn-runtime", "flynn-sched"];

/// What flynn-core may depend on when none of its features is on.
pub const CORE_DEPENDENCIES: [&str; 8] =
    ["async-trait", "futures", "imbl", "serde", "thiserror", "tokio", "tracing", "uuid"];

/// Folders whose packages put the crates together.
const COMPOSITIONS: [&str; 3] = ["bins", "examples", "tests"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Core,
    Sibling,
    Composition,
}

/// A dependency of one workspace package on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge<'a> {
    /// The package that depends.
    pub package: &'a str,
    /// Its folder, from the workspace root.
    pub location: &'a str,
    /// The package that it depends on.
    pub dependency: &'a str,
    /// The folder of that package.
    pub dependency_location: &'a str,
    /// For what it depends on it. No kind is exempt: a test that imports a sibling ties the two
    /// crates together as firmly as their code would.
    pub kind: Kind,
}

/// The edges between the members of the workspace. A package that depends on itself, to switch on
/// a feature for its own tests, is no edge.
pub fn edges(packages: &[Package]) -> Vec<Edge<'_>> {
    let locations: BTreeMap<_, _> =
        packages.iter().map(|package| (package.name.as_str(), package.location.as_str())).collect();
    let mut edges = Vec::new();
    for package in packages {
        for Dependency { name, kind, .. } in &package.dependencies {
            let Some(dependency_location) = locations.get(name.as_str()) else {
                continue;
            };
            if *name != package.name {
                edges.push(Edge {
                    package: &package.name,
                    location: &package.location,
                    dependency: name,
                    dependency_location,
                    kind: *kind,
                });
            }
        }
    }
    edges
}

/// Finds the edges that break the star.
pub fn wrong_edges(edges: &[Edge<'_>]) -> Vec<String> {
    edges.iter().filter_map(wrong_edge).collect()
}

fn wrong_edge(edge: &Edge<'_>) -> Option<String> {
    let Edge { package, dependency, kind, .. } = edge;
    let advice = match (place(edge.location), place(edge.dependency_location)) {
        (Some(Place::Composition), Some(_)) | (Some(Place::Sibling), Some(Place::Core)) => {
            return None;
        }
        (None, _) => format!("{} is no place for a package", edge.location),
        (_, None) => format!("{} is no place for a package", edge.dependency_location),
        (_, Some(Place::Composition)) => "a library never depends on what uses it".to_owned(),
        (Some(Place::Core), _) => format!("{CORE} depends on no other member"),
        (Some(Place::Sibling), Some(Place::Sibling)) => format!(
            "siblings meet only in {CORE}: move the shared value or port there, \
             or put the two together in a binary"
        ),
    };
    Some(format!("{package} has {dependency} as a {kind} dependency: {advice}"))
}

/// Finds members that lie neither at the place of one of the five crates nor below a folder of
/// compositions.
pub fn misplaced(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter(|package| place(&package.location).is_none())
        .map(|package| {
            format!(
                "{}: a package is one of the five crates or lies below {}",
                package.location,
                COMPOSITIONS.join("/, ") + "/"
            )
        })
        .collect()
}

/// Finds what flynn-core brings to everybody who uses it, beyond the written list.
pub fn unlisted_core_dependencies(core: &Package) -> Vec<String> {
    core.dependencies
        .iter()
        .filter(|dependency| dependency.kind != Kind::Dev && !dependency.optional)
        .filter(|dependency| !CORE_DEPENDENCIES.contains(&dependency.name.as_str()))
        .map(|dependency| {
            format!(
                "{CORE} always depends on {}: put it behind a feature, \
                 or argue for a longer list of dependencies",
                dependency.name
            )
        })
        .collect()
}

fn place(location: &str) -> Option<Place> {
    match location.split_once('/') {
        None if location == CORE => Some(Place::Core),
        None if SIBLINGS.contains(&location) => Some(Place::Sibling),
        Some((folder, _)) if COMPOSITIONS.contains(&folder) => Some(Place::Composition),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(location: &str, dependencies: &[(&str, Kind)]) -> Package {
        Package {
            name: location.rsplit('/').next().unwrap().to_owned(),
            location: location.to_owned(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: *kind, optional: false })
                .collect(),
        }
    }

    /// Plants one edge into an otherwise lawful workspace.
    fn check(from: &str, to: &str, kind: Kind, expect: &[&str]) {
        let mut packages: Vec<_> = SIBLINGS.iter().map(|sibling| package(sibling, &[(CORE, Kind::Normal)])).collect();
        packages.push(package(CORE, &[("serde", Kind::Normal)]));
        packages.push(package("bins/flynnd", &[("flynn-sched", Kind::Normal)]));
        packages.push(package("tests/sim", &[("flynn-router", Kind::Dev)]));
        packages.push(package("tools/stray", &[]));
        assert_eq!(wrong_edges(&edges(&packages)), [""; 0]);

        let from = packages.iter_mut().find(|package| package.name == from);
        from.unwrap().dependencies.push(Dependency { name: to.to_owned(), kind, optional: true });
        assert_eq!(wrong_edges(&edges(&packages)), expect);
    }

    #[test]
    fn siblings_do_not_import_each_other() {
        let advice = "siblings meet only in flynn-core: move the shared value or port there, \
                      or put the two together in a binary";
        for (kind, word) in [(Kind::Normal, "normal"), (Kind::Build, "build"), (Kind::Dev, "dev")] {
            check(
                "flynn-sched",
                "flynn-runtime",
                kind,
                &[&format!("flynn-sched has flynn-runtime as a {word} dependency: {advice}")],
            );
        }
    }

    #[test]
    fn the_core_imports_nobody_but_itself() {
        check(
            "flynn-core",
            "flynn-build",
            Kind::Dev,
            &["flynn-core has flynn-build as a dev dependency: \
               flynn-core depends on no other member"],
        );
        check("flynn-core", "flynn-core", Kind::Dev, &[]);
    }

    #[test]
    fn libraries_do_not_import_compositions() {
        for library in ["flynn-core", "flynn-router"] {
            check(
                library,
                "sim",
                Kind::Dev,
                &[&format!("{library} has sim as a dev dependency: a library never depends on what uses it")],
            );
        }
    }

    #[test]
    fn compositions_import_what_they_like() {
        for crate_name in SIBLINGS {
            check("flynnd", crate_name, Kind::Normal, &[]);
            check("sim", crate_name, Kind::Build, &[]);
        }
        check("sim", "flynnd", Kind::Dev, &[]);
    }

    #[test]
    fn a_package_in_a_strange_place_is_found() {
        check(
            "stray",
            "flynn-core",
            Kind::Normal,
            &["stray has flynn-core as a normal dependency: tools/stray is no place for a package"],
        );
        let packages = [package("tools/stray", &[]), package("bins/flynn", &[])];
        assert_eq!(
            misplaced(&packages),
            ["tools/stray: a package is one of the five crates or lies below \
              bins/, examples/, tests/"]
        );
    }

    #[test]
    fn an_unlisted_dependency_of_the_core_is_found_unless_optional_or_for_tests() {
        let mut core = package(CORE, &[("serde", Kind::Normal), ("proptest", Kind::Dev)]);
        core.dependencies.push(Dependency { name: "sqlx".to_owned(), kind: Kind::Normal, optional: true });
        assert_eq!(unlisted_core_dependencies(&core), [""; 0]);

        core.dependencies.extend(package("x", &[("rand", Kind::Normal)]).dependencies);
        assert_eq!(
            unlisted_core_dependencies(&core),
            ["flynn-core always depends on rand: put it behind a feature, \
              or argue for a longer list of dependencies"]
        );
    }
}
