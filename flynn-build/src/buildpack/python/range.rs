//! Ranges of versions of Python, as far as to know whether a version is in one.

/// Whether `version` is in `range`, in the words of PEP 440 or of Poetry; none if the range is not understood.
///
/// `==3.12` means all of 3.12, since nobody who writes that means its first release alone.
pub(super) fn contains(range: &str, version: &[u32]) -> Option<bool> {
    let alternatives: Option<Vec<bool>> = range.split("||").map(|part| all(part, version)).collect();
    alternatives.map(|parts| parts.into_iter().any(|part| part))
}

fn all(part: &str, version: &[u32]) -> Option<bool> {
    let mut clauses: Vec<String> = Vec::new();
    for word in part.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()) {
        match clauses.last_mut() {
            // An operator apart from its version.
            Some(last) if is_operator(last) => *last = format!("{last}{word}"),
            _ => clauses.push(word.to_owned()),
        }
    }
    let clauses: Option<Vec<bool>> = clauses.iter().map(|text| clause(text, version)).collect();
    clauses.filter(|clauses| !clauses.is_empty()).map(|clauses| clauses.into_iter().all(|clause| clause))
}

fn is_operator(text: &str) -> bool {
    text.bytes().all(|b| b"<>=!~^".contains(&b))
}

fn clause(text: &str, version: &[u32]) -> Option<bool> {
    let end = text.find(|c: char| !"<>=!~^".contains(c)).unwrap_or(text.len());
    let (operator, rest) = text.split_at_checked(end)?;
    if rest == "*" {
        return Some(true);
    }
    let is_prefix = rest.ends_with(".*");
    let numbers: Option<Vec<u32>> = rest.trim_end_matches(".*").split('.').map(|part| part.parse().ok()).collect();
    let numbers = numbers?;
    let starts = |numbers: &[u32]| (0..numbers.len()).all(|at| at_or_zero(version, at) == at_or_zero(numbers, at));
    let order = compare(version, &numbers);
    let below = |keep: usize| {
        let mut limit: Vec<u32> = numbers.iter().copied().take(keep.max(1)).collect();
        if let Some(last) = limit.last_mut() {
            *last += 1;
        }
        order.is_ge() && compare(version, &limit).is_lt()
    };
    Some(match operator {
        "" | "=" | "==" | "===" => starts(&numbers),
        "!=" if is_prefix || numbers.len() > 2 => !starts(&numbers),
        // The first release of a line, and not the line.
        "!=" => order.is_ne(),
        ">=" => order.is_ge(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        "<" => order.is_lt(),
        "~=" => below(numbers.len() - 1),
        "~" => below(2.min(numbers.len())),
        "^" => below(1),
        _ => return None,
    })
}

fn at_or_zero(numbers: &[u32], at: usize) -> u32 {
    numbers.get(at).copied().unwrap_or(0)
}

fn compare(one: &[u32], other: &[u32]) -> std::cmp::Ordering {
    (0..one.len().max(other.len()))
        .map(|at| at_or_zero(one, at).cmp(&at_or_zero(other, at)))
        .find(|o| o.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_understood() {
        for (range, expect) in [
            (">=3.9", Some(true)),
            (">=3.9,<3.13", Some(false)),
            (">=3.9,<4", Some(true)),
            (">= 3.9, < 4.0", Some(true)),
            (">=3.9 <3.12", Some(false)),
            (">=3.14", Some(false)),
            (">3.13", Some(true)),
            ("<=3.13", Some(false)),
            ("==3.13", Some(true)),
            ("==3.13.*", Some(true)),
            ("==3.12.*", Some(false)),
            ("!=3.13.*", Some(false)),
            ("!=3.13.0,>=3.9", Some(true)),
            ("!=3.13.5", Some(false)),
            ("~=3.11", Some(true)),
            ("~=3.12.1", Some(false)),
            ("~=3.13.2", Some(true)),
            ("^3.11", Some(true)),
            ("^4.0", Some(false)),
            ("~3.13", Some(true)),
            ("~3.12.4", Some(false)),
            ("~3", Some(true)),
            ("~3.12 || ~3.13", Some(true)),
            ("*", Some(true)),
            ("3.13.5", Some(true)),
            ("", None),
            ("three", None),
            ("<>3", None),
            (">=3.13rc1", None),
        ] {
            assert_eq!(contains(range, &[3, 13, 5]), expect, "{range}");
        }
    }

    proptest! {
        #[test]
        fn a_version_is_in_what_it_begins(version in proptest::collection::vec(0..40_u32, 3), keep in 1..4_usize) {
            let text = version.iter().take(keep).map(u32::to_string).collect::<Vec<_>>().join(".");
            for operator in ["==", ">=", "~", "^", ""] {
                prop_assert_eq!(contains(&format!("{operator}{text}"), &version), Some(true), "{}{}", operator, text);
            }
            prop_assert_eq!(contains(&format!("<{text}"), &version), Some(false));
            let both = contains(&format!("<{text} || >={text}"), &version);
            prop_assert_eq!(both, Some(true));
        }

        #[test]
        fn no_text_is_too_odd(text in "[<>=!~^0-9.*, |a-z]{0,20}") {
            contains(&text, &[3, 13, 5]);
        }
    }
}
