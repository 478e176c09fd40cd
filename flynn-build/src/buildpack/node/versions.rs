//! Which Node.js an app gets.

use nodejs_semver::{Range, Version};
use serde::Deserialize;

use super::registry::Releases;
use crate::detect::VersionRequest;

/// The line that is taken where it fits: the one with long-term support that most packages are tested with.
const LINE: u64 = 24;
/// The oldest line that the npm that comes along works with.
const OLDEST: u64 = 18;
/// The names of the lines with long-term support.
const NAMES: [(&str, u64); 4] = [("hydrogen", 18), ("iron", 20), ("jod", 22), ("krypton", 24)];

/// The version that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
pub(super) struct Choice {
    /// Such as `24.21.0`.
    pub(super) version: String,
    /// The hash of its archive as the registry states it, such as `sha512-…`.
    pub(super) integrity: String,
    /// What the author should know of it.
    pub(super) note: Option<String>,
}

/// Chooses one of `releases`, or says why none will do.
///
/// What is asked for exactly and is not there gets the nearest one, with a note: the newest of its minor version,
/// else of its major version.
pub(super) fn choose(request: Option<&VersionRequest>, releases: &Releases) -> Result<Choice, String> {
    let mut offered: Vec<(Version, &str, &str)> = Vec::new();
    for (text, release) in &releases.versions {
        let (Ok(version), Some(integrity)) = (Version::parse(text), release.dist.integrity.as_deref()) else {
            continue;
        };
        if version.pre_release().is_empty() && version.major() >= OLDEST {
            offered.push((version, text, integrity));
        }
    }
    offered.sort();
    let newest = |fits: &dyn Fn(&Version) -> bool| offered.iter().rev().find(|(version, ..)| fits(version));
    let choice = |found: &(Version, &str, &str), note| Choice {
        version: found.1.to_owned(),
        integrity: found.2.to_owned(),
        note,
    };
    let line = newest(&|version| version.major() == LINE);
    let Some(request) = request else {
        return line.or(offered.last()).map(|found| choice(found, None)).ok_or_else(|| missing(&offered, "Node.js"));
    };
    let VersionRequest { text, file } = request;
    let wish = wish(text).ok_or_else(|| format!("{file}: `{text}` is no version or range of versions of Node.js"))?;
    let fits = |version: &Version| wish.satisfies(version);
    let preferred = newest(&|version| version.major() == LINE && fits(version));
    if let Some(found) = preferred.or_else(|| newest(&fits)) {
        return Ok(choice(found, None));
    }
    let nearest = lowest(&wish).and_then(|asked| {
        let minor = newest(&|version| (version.major(), version.minor()) == (asked.major(), asked.minor()));
        minor.or_else(|| newest(&|version| version.major() == asked.major()))
    });
    let found = nearest.ok_or_else(|| missing(&offered, &format!("`{text}`, which {file} asks for")))?;
    Ok(choice(found, Some(format!("{file} asks for Node.js {text}, which is not to be had; {} is used", found.1))))
}

/// What is asked for, as a range.
fn wish(text: &str) -> Option<Range> {
    let text = text.trim();
    let lower = text.to_lowercase();
    let range = match lower.as_str() {
        "" | "lts/*" | "lts" => format!("{LINE}.x"),
        "node" | "latest" | "current" | "stable" => "*".to_owned(),
        name => match name.strip_prefix("lts/") {
            Some(name) => {
                let (_, line) = NAMES.iter().find(|(known, _)| *known == name)?;
                format!("{line}.x")
            }
            None => text.to_owned(),
        },
    };
    Range::parse(range).ok()
}

/// The lowest version that a range allows.
fn lowest(range: &Range) -> Option<Version> {
    range.min_version()
}

fn missing(offered: &[(Version, &str, &str)], what: &str) -> String {
    let mut lines: Vec<_> = offered.iter().map(|(version, ..)| version.major()).collect();
    lines.dedup();
    let lines: Vec<_> = lines.iter().map(u64::to_string).collect();
    format!("there is no {what}; the registry has versions {} of Node.js", lines.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn releases(versions: &[&str]) -> Releases {
        let entry = |version: &&str| format!(r#""{version}": {{"dist": {{"integrity": "sha512-{version}"}}}}"#);
        let entries: Vec<_> = versions.iter().map(entry).collect();
        serde_json::from_str(&format!(r#"{{"name": "x", "versions": {{{}}}}}"#, entries.join(","))).unwrap()
    }

    #[track_caller]
    fn check(wish: Option<&str>, expect: Result<(&str, bool), &str>) {
        let releases = releases(&[
            "16.20.2",
            "18.20.8",
            "20.9.0",
            "20.20.2",
            "22.11.0",
            "22.9.0",
            "22.23.3",
            "24.21.0",
            "24.3.0",
            "26.10.0",
            "27.0.0-rc.1",
        ]);
        let request = wish.map(|text| VersionRequest { text: text.to_owned(), file: ".nvmrc" });
        match (choose(request.as_ref(), &releases), expect) {
            (Ok(choice), Ok((version, has_note))) => {
                assert_eq!(
                    (choice.version.as_str(), choice.note.is_some()),
                    (version, has_note),
                    "{wish:?} {choice:?}"
                );
                assert_eq!(choice.integrity, format!("sha512-{version}"));
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{wish:?}: {error}"),
            (got, expect) => panic!("{wish:?}: {got:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn a_range_gets_the_line_with_support_or_else_the_newest() {
        check(None, Ok(("24.21.0", false)));
        check(Some(""), Ok(("24.21.0", false)));
        check(Some(">=18"), Ok(("24.21.0", false)));
        check(Some("*"), Ok(("24.21.0", false)));
        check(Some("lts/*"), Ok(("24.21.0", false)));
        check(Some("lts/Jod"), Ok(("22.23.3", false)));
        check(Some("node"), Ok(("24.21.0", false)));
        check(Some("22"), Ok(("22.23.3", false)));
        check(Some("v22.11.0"), Ok(("22.11.0", false)));
        check(Some("22.x"), Ok(("22.23.3", false)));
        check(Some("^20.5"), Ok(("20.20.2", false)));
        check(Some("20 || 22"), Ok(("22.23.3", false)));
        check(Some(">=20 <23"), Ok(("22.23.3", false)));
        check(Some(">24"), Ok(("26.10.0", false)));
        check(Some("~20.9.0"), Ok(("20.9.0", false)));
    }

    #[test]
    fn what_is_not_there_gets_the_nearest_and_a_word() {
        check(Some("22.11.7"), Ok(("22.11.0", true)));
        check(Some("22.99.0"), Ok(("22.23.3", true)));
        check(Some("=18.1.0"), Ok(("18.20.8", true)));
    }

    #[test]
    fn what_will_never_do_is_an_error_that_says_what_there_is() {
        check(Some("16"), Err("18, 20, 22, 24, 26"));
        check(Some("99.0.0"), Err("`99.0.0`, which .nvmrc asks for"));
        check(Some("lts/argon"), Err("no version or range"));
        check(Some("banana"), Err("no version or range"));
    }
}
