//! Which version of yarn or pnpm installs the packages of an app.

use nodejs_semver::{Range, Version};
use serde::{Deserialize, Serialize};

use super::registry::Releases;
use crate::detect::{NodePackages, NodeTool, VersionRequest};

/// A version of an installer, by the hash that its registry states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tool {
    /// The package that it is in.
    pub(super) package: String,
    pub(super) version: String,
    pub(super) integrity: String,
    /// What the author should know of it.
    pub(super) note: Option<String>,
}

struct Pin {
    tool: NodeTool,
    /// The format of the lock that it writes, which others would write anew; 0 where no lock leads to it.
    format: u32,
    version: &'static str,
    integrity: &'static str,
}

/// Those that are taken where nobody asks for another, the one that counts first of each tool.
const PINS: [Pin; 9] = [
    Pin {
        tool: NodeTool::YarnClassic,
        format: 0,
        version: "1.22.22",
        integrity: "sha512-prL3kGtyG7o9Z9Sv8IPfBNrWTDmXB4Qbes8A9rEzt6wkJV8mUvoirjU0Mp3GGAU06Y0XQyA3/2/RQFVuK7MTfg==",
    },
    Pin {
        tool: NodeTool::YarnBerry,
        format: 10,
        version: "4.18.1",
        integrity: "sha512-EH+A4TxAtBWXKE0DGQxW9Bo9crXHLJ73mfxjTQJuv8XonNWWTpei8BQ5JjczHJNU9GROTycwMFn8iOvRIZXUcA==",
    },
    Pin {
        tool: NodeTool::YarnBerry,
        format: 9,
        version: "4.14.1",
        integrity: "sha512-62uYRCYBnAwNZ1Y4uMh0iUXtgZe4frwAgd5dJFoTu/uWMZWpJzxY2ib0cAva1eiy1L2jiDR0dS1Os+1osiIxvA==",
    },
    Pin {
        tool: NodeTool::YarnBerry,
        format: 8,
        version: "4.12.0",
        integrity: "sha512-r0AVfpKUXIbgajKFY0wWMZLwZou+CJmtqt+Y5LTimbPaA78srI0SnLJIS4ikPE1mv8YTPQ7mqRUdoDB7W+kDDA==",
    },
    Pin {
        tool: NodeTool::YarnBerry,
        format: 6,
        version: "3.8.7",
        integrity: "sha512-YMoAlLR9f+kxXjK72ggBIidi3ulQQrQpMSxzrLUt0OUk9Xdst2v26LBSYFlzOm+7KRNWgYIJpFjA8uRnCgB5xQ==",
    },
    Pin {
        tool: NodeTool::Pnpm,
        format: 9,
        version: "10.34.8",
        integrity: "sha512-9ieo6XE0Ov5J39D2PQKCNCAd+oMdXLWIcz4eX42ya/FpiaMhYatcG02zsf28NzFgYGtbieAC323RmoWt+R/FqA==",
    },
    Pin {
        tool: NodeTool::Pnpm,
        format: 0,
        version: "9.15.9",
        integrity: "sha512-aARhQYk8ZvrQHAeSMRKOmvuJ74fiaR1p5NQO7iKJiClf1GghgbrlW1hBjDolO95lpQXsfF+UA+zlzDzTfc8lMQ==",
    },
    Pin {
        tool: NodeTool::Pnpm,
        format: 6,
        version: "8.15.9",
        integrity: "sha512-SZQ0ydj90aJ5Tr9FUrOyXApjOrzuW7Fee13pDzL0e1E6ypjNXP0AHDHw20VLw4BO3M1XhQHkyik6aBYWa72fgQ==",
    },
    Pin {
        tool: NodeTool::Pnpm,
        format: 5,
        version: "7.33.7",
        integrity: "sha512-ev4kEGQrOcaY30baTOXHIxpczjYGmNafjPj0IlfUCz5D8jEFOwe43oSf1P+/SnH/V7g1E3d3o1I4jz09p0cgDg==",
    },
];

/// From this version on, pnpm is a program of its own in a package per processor.
const NATIVE: u64 = 12;

/// Whether the version that is taken by itself leaves a lock of this format as it is.
pub(super) fn keeps_format(packages: &NodePackages) -> bool {
    let writes_it = |pin: &Pin| pin.tool == packages.tool && packages.format == Some(pin.format);
    packages.asked.is_some() || packages.tool != NodeTool::YarnBerry || PINS.iter().any(writes_it)
}

/// What is known of an app's installer without asking a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// All.
    Tool(Tool),
    /// That it is a version of this package.
    Package(String),
}

/// Decides by what the app asks for, else by what wrote its lock.
///
/// # Errors
/// What is asked for is no version.
pub(super) fn known(packages: &NodePackages, architecture: &str) -> Result<Known, String> {
    let pins = || PINS.iter().filter(|pin| pin.tool == packages.tool);
    let writes_it = |pin: &&Pin| packages.format == Some(pin.format);
    // Of formats in between, those of test versions, the next reads them best.
    let reads_it =
        |pin: &&Pin| packages.tool == NodeTool::YarnBerry && packages.format.is_some_and(|it| it < pin.format);
    let preferred = pins().find(writes_it).or_else(|| pins().rev().find(reads_it)).or_else(|| pins().next());
    let ready = |pin: &Pin| {
        let package = package(packages.tool, major(pin.version), architecture);
        Known::Tool(Tool { package, version: pin.version.into(), integrity: pin.integrity.into(), note: None })
    };
    let Some(asked) = &packages.asked else {
        return preferred.map(ready).ok_or_else(|| "npm is not chosen so".to_owned());
    };
    let range = range(asked)?;
    let fits = |pin: &&Pin| Version::parse(pin.version).is_ok_and(|version| range.satisfies(&version));
    if let Some(pin) = preferred.into_iter().chain(pins()).find(fits) {
        return Ok(ready(pin));
    }
    let lowest = range.min_version().map_or(0, |version| version.major());
    Ok(Known::Package(package(packages.tool, lowest, architecture)))
}

/// Chooses one of `releases` of `package`; what is asked for exactly and is not there gets the nearest, with a note.
pub(super) fn choose(asked: &VersionRequest, package: &str, releases: &Releases) -> Result<Tool, String> {
    let range = range(asked)?;
    let mut offered: Vec<(Version, &str, &str)> = Vec::new();
    for (text, release) in &releases.versions {
        if let (Ok(version), Some(integrity)) = (Version::parse(text), release.dist.integrity.as_deref())
            && version.pre_release().is_empty()
        {
            offered.push((version, text, integrity));
        }
    }
    offered.sort();
    let newest = |fits: &dyn Fn(&Version) -> bool| offered.iter().rev().find(|(version, ..)| fits(version));
    let tool = |found: &(Version, &str, &str), note| Tool {
        package: package.to_owned(),
        version: found.1.to_owned(),
        integrity: found.2.to_owned(),
        note,
    };
    if let Some(found) = newest(&|version| range.satisfies(version)) {
        return Ok(tool(found, None));
    }
    let nearest = range.min_version().and_then(|asked| newest(&|version| version.major() == asked.major()));
    let VersionRequest { text, file } = asked;
    let found =
        nearest.ok_or_else(|| format!("{file} asks for version {text} of {package}, which there is none of"))?;
    let note = format!("{file} asks for version {text} of {package}, which is not to be had; {} is used", found.1);
    Ok(tool(found, Some(note)))
}

fn range(asked: &VersionRequest) -> Result<Range, String> {
    let VersionRequest { text, file } = asked;
    Range::parse(text).map_err(|_| format!("{file}: `{text}` is no version or range of versions"))
}

fn major(version: &str) -> u64 {
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

/// The package that a tool is in.
fn package(tool: NodeTool, major: u64, architecture: &str) -> String {
    match tool {
        NodeTool::Npm => "npm".to_owned(),
        NodeTool::YarnClassic => "yarn".to_owned(),
        NodeTool::YarnBerry => "@yarnpkg/cli-dist".to_owned(),
        NodeTool::Pnpm if major >= NATIVE => {
            format!("@pnpm/exe.linux-{}", if architecture == "aarch64" { "arm64" } else { "x64" })
        }
        NodeTool::Pnpm => "pnpm".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packages(tool: NodeTool, format: Option<u32>, asked: Option<&str>) -> NodePackages {
        let asked = asked.map(|text| VersionRequest { text: text.to_owned(), file: "package.json" });
        NodePackages { tool, asked, format, lock: None }
    }

    #[track_caller]
    fn check(tool: NodeTool, format: Option<u32>, asked: Option<&str>, expect: &str) {
        let got = match known(&packages(tool, format, asked), "x86_64") {
            Ok(Known::Tool(tool)) => format!("{} {}", tool.package, tool.version),
            Ok(Known::Package(package)) => format!("{package} ?"),
            Err(error) => error,
        };
        assert_eq!(got, expect);
    }

    #[test]
    fn what_nobody_asks_for_is_known_by_the_lock() {
        check(NodeTool::YarnClassic, None, None, "yarn 1.22.22");
        check(NodeTool::YarnBerry, Some(6), None, "@yarnpkg/cli-dist 3.8.7");
        check(NodeTool::YarnBerry, Some(4), None, "@yarnpkg/cli-dist 3.8.7");
        check(NodeTool::YarnBerry, Some(7), None, "@yarnpkg/cli-dist 4.12.0");
        check(NodeTool::YarnBerry, Some(8), None, "@yarnpkg/cli-dist 4.12.0");
        check(NodeTool::YarnBerry, Some(10), None, "@yarnpkg/cli-dist 4.18.1");
        check(NodeTool::YarnBerry, Some(11), None, "@yarnpkg/cli-dist 4.18.1");
        check(NodeTool::YarnBerry, None, None, "@yarnpkg/cli-dist 4.18.1");
        check(NodeTool::Pnpm, None, None, "pnpm 10.34.8");
        check(NodeTool::Pnpm, Some(9), None, "pnpm 10.34.8");
        check(NodeTool::Pnpm, Some(6), None, "pnpm 8.15.9");
        check(NodeTool::Pnpm, Some(5), None, "pnpm 7.33.7");
        check(NodeTool::Pnpm, Some(4), None, "pnpm 10.34.8");
    }

    #[test]
    fn a_lock_is_kept_as_it_is_where_that_can_be() {
        let check =
            |tool, format, asked, expect| assert_eq!(keeps_format(&packages(tool, Some(format), asked)), expect);
        check(NodeTool::YarnBerry, 8, None, true);
        check(NodeTool::YarnBerry, 5, None, false);
        check(NodeTool::YarnBerry, 5, Some("3.1.0"), true);
        check(NodeTool::Pnpm, 4, None, true);
    }

    #[test]
    fn what_is_asked_for_is_taken_from_a_registry_if_it_is_not_at_hand() {
        check(NodeTool::Pnpm, Some(9), Some("10.34.8"), "pnpm 10.34.8");
        check(NodeTool::Pnpm, Some(9), Some(">=8"), "pnpm 10.34.8");
        check(NodeTool::Pnpm, Some(9), Some("^9"), "pnpm 9.15.9");
        check(NodeTool::Pnpm, Some(9), Some("9.1.0"), "pnpm ?");
        check(NodeTool::Pnpm, Some(9), Some("12.21.0"), "@pnpm/exe.linux-x64 ?");
        check(NodeTool::YarnClassic, None, Some("1.x"), "yarn 1.22.22");
        check(NodeTool::YarnBerry, Some(6), Some("3.2.0"), "@yarnpkg/cli-dist ?");
        check(NodeTool::Pnpm, None, Some("ten"), "package.json: `ten` is no version or range of versions");
    }

    fn releases(versions: &[&str]) -> Releases {
        let entry = |version: &&str| format!(r#""{version}": {{"dist": {{"integrity": "sha512-{version}"}}}}"#);
        let entries: Vec<_> = versions.iter().map(entry).collect();
        serde_json::from_str(&format!(r#"{{"versions": {{{}}}}}"#, entries.join(","))).unwrap()
    }

    #[test]
    fn the_newest_that_fits_is_chosen_or_the_nearest() {
        let offered = releases(&["9.1.0", "9.10.2", "9.9.9", "10.0.0-rc.1", "8.0.0"]);
        let check = |text: &str, expect: Result<(&str, bool), &str>| {
            let asked = VersionRequest { text: text.to_owned(), file: "package.json" };
            match (choose(&asked, "pnpm", &offered), expect) {
                (Ok(tool), Ok((version, has_note))) => {
                    assert_eq!((tool.version.as_str(), tool.note.is_some()), (version, has_note));
                    assert_eq!(tool.integrity, format!("sha512-{version}"));
                }
                (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
                (got, expect) => panic!("{got:?} instead of {expect:?}"),
            }
        };
        check("9.1.0", Ok(("9.1.0", false)));
        check("9", Ok(("9.10.2", false)));
        check("9.2.0", Ok(("9.10.2", true)));
        check("10.0.0", Err("asks for version 10.0.0 of pnpm, which there is none of"));
    }

    proptest! {
        #[test]
        fn a_version_that_is_offered_is_the_one_that_is_chosen(
            versions in proptest::collection::btree_set((0..20_u8, 0..20_u8, 0..20_u8), 1..12),
            index in any::<proptest::sample::Index>(),
        ) {
            let versions: Vec<_> = versions.iter().map(|(a, b, c)| format!("{a}.{b}.{c}")).collect();
            let offered = releases(&versions.iter().map(String::as_str).collect::<Vec<_>>());
            let wanted = index.get(&versions);
            let asked = VersionRequest { text: wanted.clone(), file: "package.json" };
            let tool = choose(&asked, "pnpm", &offered).unwrap();
            prop_assert_eq!((&tool.version, tool.note), (wanted, None));
        }

        #[test]
        fn any_words_are_a_version_or_an_error(text in "\\PC{0,12}") {
            for tool in [NodeTool::YarnClassic, NodeTool::YarnBerry, NodeTool::Pnpm] {
                let _either = known(&packages(tool, None, Some(&text)), "x86_64");
            }
        }
    }
}
