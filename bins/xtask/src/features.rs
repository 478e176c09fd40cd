//! The choices of features under which every package has to compile by itself.

use crate::workspace::Package;

/// One package with one choice of its features.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Selection<'a> {
    package: &'a str,
    feature: Option<&'a str>,
}

impl<'a> Selection<'a> {
    /// Warnings are errors here too: code that only another feature uses is dead without it.
    pub(crate) fn args(&self) -> Vec<&'a str> {
        let mut args = vec!["clippy", "--quiet", "--package", self.package];
        args.push("--no-default-features");
        if let Some(feature) = self.feature {
            args.extend(["--features", feature]);
        }
        args.extend(["--", "--deny=warnings"]);
        args
    }
}

/// No features, then each feature alone. A package without features is there as well, because
/// in a build of the whole workspace its neighbours switch on features that it did not ask for.
pub(crate) fn selections(packages: &[Package]) -> impl Iterator<Item = Selection<'_>> {
    packages.iter().flat_map(|package| {
        let features = package.features.keys().map(|feature| Some(feature.as_str()));
        std::iter::once(None).chain(features).map(|feature| Selection { package: &package.name, feature })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_feature_is_selected_alone() {
        let features = ["sqlite", "client"].map(|name| (name.to_owned(), Vec::new()));
        let packages = [
            Package { name: "plain".to_owned(), features: BTreeMap::new(), targets: Vec::new() },
            Package { name: "rich".to_owned(), features: BTreeMap::from(features), targets: Vec::new() },
        ];
        let chosen: Vec<_> = selections(&packages).map(|selection| (selection.package, selection.feature)).collect();
        assert_eq!(chosen, [("plain", None), ("rich", None), ("rich", Some("client")), ("rich", Some("sqlite")),]);
    }
}
